//! Builds the plans that are sent to the server.

use spark_connect_proto as proto;

use proto::{
    common_inline_user_defined_function::Function, expression::ExprType, plan::OpType, read,
    relation::RelType,
};

use super::{
    pickle::{self, Columns},
    types::quoted,
};

/// Spark's eval type for a Python function from record batches to record batches.
const SQL_MAP_ARROW_ITER_UDF: i32 = 207;

fn relation(kind: RelType) -> proto::Relation {
    proto::Relation {
        rel_type: Some(kind),
        ..Default::default()
    }
}

/// Wraps a relation in a plan whose result can be requested or described.
pub(super) fn root(relation: proto::Relation) -> proto::Plan {
    proto::Plan {
        op_type: Some(OpType::Root(relation)),
    }
}

pub(super) fn table(name: &str) -> proto::Relation {
    relation(RelType::Read(proto::Read {
        read_type: Some(read::ReadType::NamedTable(read::NamedTable {
            unparsed_identifier: name.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }))
}

pub(super) fn sql(query: &str) -> proto::Relation {
    relation(RelType::Sql(proto::Sql {
        query: query.to_owned(),
        ..Default::default()
    }))
}

/// Wraps a command, which has no rows.
pub(super) fn command(command: proto::command::CommandType) -> proto::Plan {
    proto::Plan {
        op_type: Some(OpType::Command(proto::Command {
            command_type: Some(command),
        })),
    }
}

/// The first rows of a relation.
pub(super) fn limit(input: proto::Relation, limit: i32) -> proto::Relation {
    relation(RelType::Limit(Box::new(proto::Limit {
        input: Some(Box::new(input)),
        limit,
    })))
}

/// Some columns of a relation.
pub(super) fn select(input: proto::Relation, columns: &[String]) -> proto::Relation {
    relation(RelType::Project(Box::new(proto::Project {
        input: Some(Box::new(input)),
        expressions: columns.iter().map(|name| column(name)).collect(),
    })))
}

/// The numbers from 0 to `end` in `partitions` partitions, or as many as Spark chooses.
pub(super) fn range(end: i64, partitions: Option<i32>) -> proto::Relation {
    relation(RelType::Range(proto::Range {
        start: Some(0),
        end,
        step: 1,
        num_partitions: partitions,
    }))
}

pub(super) fn repartition(input: proto::Relation, partitions: i32) -> proto::Relation {
    relation(RelType::Repartition(Box::new(proto::Repartition {
        input: Some(Box::new(input)),
        num_partitions: partitions,
        shuffle: Some(true),
    })))
}

/// What Spark needs to know about a Python function.
pub(super) struct PythonFunction<'a> {
    /// Defines the function, and may read `JOB`.
    pub(super) source: &'a str,
    pub(super) function: &'a str,
    pub(super) job: &'a str,
    /// The version of Python that it is for.
    pub(super) python: &'a str,
    pub(super) result: &'a Columns<'a>,
}

/// Runs a Python function once per partition; with `barrier`, on all of them at the same time.
pub(super) fn map_partitions(
    input: proto::Relation,
    columns: &[String],
    function: PythonFunction,
    barrier: bool,
) -> proto::Relation {
    let PythonFunction {
        source,
        job,
        result,
        ..
    } = function;
    let result_columns = result
        .iter()
        .map(|(name, dtype)| format!("{} {}", quoted(name), dtype.sql()))
        .collect::<Vec<_>>()
        .join(", ");
    let python = proto::PythonUdf {
        output_type: Some(proto::DataType {
            kind: Some(proto::data_type::Kind::Unparsed(
                proto::data_type::Unparsed {
                    data_type_string: result_columns,
                },
            )),
        }),
        eval_type: SQL_MAP_ARROW_ITER_UDF,
        command: pickle::command(source, function.function, job, result).into(),
        python_ver: function.python.to_owned(),
        additional_includes: Vec::new(),
    };
    relation(RelType::MapPartitions(Box::new(proto::MapPartitions {
        input: Some(Box::new(input)),
        func: Some(proto::CommonInlineUserDefinedFunction {
            function_name: "run_worker".to_owned(),
            // Otherwise Spark might run it twice for one result.
            deterministic: true,
            arguments: columns.iter().map(|name| column(name)).collect(),
            function: Some(Function::PythonUdf(python)),
            ..Default::default()
        }),
        is_barrier: Some(barrier),
        ..Default::default()
    })))
}

fn column(name: &str) -> proto::Expression {
    proto::Expression {
        expr_type: Some(ExprType::UnresolvedAttribute(
            proto::expression::UnresolvedAttribute {
                unparsed_identifier: quoted(name),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        path::PathBuf,
        process::{Command, Stdio},
    };

    use prost::Message;

    use super::*;
    use crate::spark::types::SparkType;

    /// Lists the fields of the request on standard input that Spark 3.5's protocol does not have.
    const UNKNOWN: &str = "\
import sys
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from pyspark.sql.connect.proto.base_pb2 import ExecutePlanRequest
def unknown(message, path):
    found = [path + '.%d' % field.field_number for field in UnknownFieldSet(message)]
    for field, value in message.ListFields():
        for part in [value] if isinstance(value, Message) else value if isinstance(value, list) else []:
            if isinstance(part, Message):
                found += unknown(part, path + '.' + field.name)
        if hasattr(value, '__iter__') and not isinstance(value, (str, bytes, list, Message)):
            for part in value:
                if isinstance(part, Message):
                    found += unknown(part, path + '.' + field.name)
    return found
request = ExecutePlanRequest.FromString(sys.stdin.buffer.read())
assert request.plan.root.map_partitions.is_barrier, request
assert request.plan.root.map_partitions.func.python_udf.command, request
print(unknown(request, 'request'))
";

    #[test]
    fn what_is_sent_is_known_to_spark_3_5() {
        let python =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools/spark_3.5/bin/python");
        if !python.exists() {
            let message =
                b"LEFT OUT: Spark 3.5's protocol: `make test-spark SPARK=3.5` compares with it\n";
            std::io::stderr().write_all(message).unwrap();
            return;
        }
        let function = PythonFunction {
            source: "def run(batches):\n    return batches\n",
            function: "run",
            job: "{}",
            python: "3.11",
            result: &[("id", SparkType::named("long"))],
        };
        let workers = map_partitions(
            repartition(range(10, Some(2)), 2),
            &["id".to_owned()],
            function,
            true,
        );
        let request = proto::ExecutePlanRequest {
            session_id: "a".to_owned(),
            user_context: Some(proto::UserContext::default()),
            plan: Some(root(workers)),
            tags: vec!["fit-0".to_owned()],
            ..Default::default()
        };
        let mut python = Command::new(python)
            .args(["-c", UNKNOWN])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let bytes = request.encode_to_vec();
        python.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = python.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "[]");
    }
}
