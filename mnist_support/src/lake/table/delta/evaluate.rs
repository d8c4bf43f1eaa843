//! The expressions by which the kernel brings actions into another shape.

use std::collections::BTreeMap;
use std::sync::Arc;

use delta_kernel::expressions::Scalar;
use delta_kernel::schema::{DataType, SchemaRef};
use delta_kernel::{
    EngineData, EvaluationHandler, Expression, ExpressionEvaluator, ExpressionRef, KernelError,
    KernelResult, PredicateEvaluator, PredicateRef,
};

use super::actions::{self, Actions, Values};
use super::log::read_only;

/// Evaluates the expressions of a scan that reads no statistics: columns, nulls, and structs of
/// these.
pub(super) struct Evaluation;

struct Evaluator {
    expression: ExpressionRef,
    shape: DataType,
}

impl EvaluationHandler for Evaluation {
    fn new_expression_evaluator(
        &self,
        _input: SchemaRef,
        expression: ExpressionRef,
        shape: DataType,
    ) -> KernelResult<Arc<dyn ExpressionEvaluator>> {
        Ok(Arc::new(Evaluator { expression, shape }))
    }

    fn new_predicate_evaluator(
        &self,
        _input: SchemaRef,
        predicate: PredicateRef,
    ) -> KernelResult<Arc<dyn PredicateEvaluator>> {
        Err(KernelError::unsupported(format!(
            "the predicate {predicate} on actions of the log"
        )))
    }

    fn create_many(
        &self,
        _schema: SchemaRef,
        _rows: Vec<Vec<Scalar>>,
    ) -> KernelResult<Box<dyn EngineData>> {
        Err(read_only("making actions"))
    }
}

impl ExpressionEvaluator for Evaluator {
    fn evaluate(&self, batch: &dyn EngineData) -> KernelResult<Box<dyn EngineData>> {
        let actions = Actions::of(batch)?;
        let mut columns = BTreeMap::new();
        evaluate(&self.expression, &self.shape, actions, &[], &mut columns)?;
        Ok(Box::new(Actions::new(actions.rows(), columns)))
    }
}

/// Adds the columns of an expression's result, below `path`.
fn evaluate(
    expression: &Expression,
    shape: &DataType,
    actions: &Actions,
    path: &[String],
    columns: &mut BTreeMap<Vec<String>, Arc<Values>>,
) -> KernelResult<()> {
    match (expression, shape) {
        (Expression::Struct(fields, None), DataType::Struct(shape)) => {
            for (field, shape) in fields.iter().zip(shape.fields()) {
                let path = [path, &[shape.name().clone()]].concat();
                evaluate(field, shape.data_type(), actions, &path, columns)?;
            }
        }
        (Expression::Column(name), _) => {
            for (below, values) in actions.below(name.path()) {
                columns.insert([path, below].concat(), Arc::clone(values));
            }
        }
        (Expression::Literal(Scalar::Null(dtype)), _) => {
            let name = path.last().cloned().unwrap_or_default();
            let field = delta_kernel::schema::StructField::nullable(name, dtype.clone());
            let schema = delta_kernel::schema::StructType::try_new([field])?;
            let above = &path[..path.len().saturating_sub(1)];
            for leaf in actions::leaves(&schema, above)? {
                let nulls = Values::nulls(leaf.kind, actions.rows());
                columns.insert(leaf.path, Arc::new(nulls));
            }
        }
        (other, _) => {
            return Err(KernelError::unsupported(format!(
                "the expression {other} on actions of the log"
            )));
        }
    }
    Ok(())
}
