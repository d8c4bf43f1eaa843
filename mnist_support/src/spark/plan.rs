//! Builds the plans that are sent to the server.

use spark_connect_proto as proto;

use proto::{
    common_inline_user_defined_function::Function, expression::ExprType, plan::OpType, read,
    relation::RelType,
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
    pub(super) command: Vec<u8>,
    pub(super) python: &'a str,
    /// The schema of its result, as in `CREATE TABLE`.
    pub(super) output: &'a str,
}

/// Runs a Python function once per partition; with `barrier`, on all of them at the same time.
pub(super) fn map_partitions(
    input: proto::Relation,
    columns: &[String],
    function: PythonFunction,
    barrier: bool,
) -> proto::Relation {
    let python = proto::PythonUdf {
        output_type: Some(proto::DataType {
            kind: Some(proto::data_type::Kind::Unparsed(
                proto::data_type::Unparsed {
                    data_type_string: function.output.to_owned(),
                },
            )),
        }),
        eval_type: SQL_MAP_ARROW_ITER_UDF,
        command: function.command.into(),
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
                unparsed_identifier: format!("`{}`", name.replace('`', "``")),
                ..Default::default()
            },
        )),
        ..Default::default()
    }
}
