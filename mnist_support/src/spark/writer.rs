//! Views and tables that keep a frame's rows on the cluster.

use spark_connect_proto as proto;

use proto::{
    command::CommandType,
    write_operation::{SaveTable, SaveType, save_table::TableSaveMethod},
};

use super::{execution, frame::SparkFrame, plan};
use crate::Result;

/// What to do where a table of the name exists, as in PySpark's `DataFrameWriter.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveMode {
    /// It is an error, and the table stays what it is.
    #[default]
    ErrorIfExists,
    /// The rows are added to it.
    Append,
    /// It is replaced.
    Overwrite,
    /// It stays what it is, and nothing is written.
    Ignore,
}

/// Writes the rows of a [`SparkFrame`]; made by [`SparkFrame::write`].
#[derive(Clone, Debug)]
pub struct DataFrameWriter<'a> {
    frame: &'a SparkFrame,
    mode: SaveMode,
    format: Option<String>,
}

impl SparkFrame {
    /// Names the frame for SQL, as PySpark's `createOrReplaceTempView` does: in this session, until
    /// it ends. Nothing is executed before the view is used, and each use executes the plan again.
    ///
    /// # Errors
    /// [`SparkError::Failed`](crate::error::SparkError::Failed) for a name that SQL does not take.
    pub fn create_or_replace_temp_view(&self, name: &str) -> Result<()> {
        let view = proto::CreateDataFrameViewCommand {
            input: Some(self.relation.clone()),
            name: name.to_owned(),
            is_global: false,
            replace: true,
        };
        self.execute("creating a view at", CommandType::CreateDataframeView(view))
    }

    /// Starts to write the rows: `frame.write().mode(SaveMode::Overwrite).save_as_table("t")?`.
    pub fn write(&self) -> DataFrameWriter<'_> {
        DataFrameWriter {
            frame: self,
            mode: SaveMode::default(),
            format: None,
        }
    }

    fn execute(&self, operation: &'static str, command: CommandType) -> Result<()> {
        let connection = &self.session.connection;
        execution::collect(connection, operation, plan::command(command), None, 1).map(|_| ())
    }
}

impl DataFrameWriter<'_> {
    /// Sets what to do where the table exists. Default: [`SaveMode::ErrorIfExists`].
    pub fn mode(mut self, mode: SaveMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the format of the table's files, such as `"parquet"` or `"delta"`. Default: the
    /// server's setting `spark.sql.sources.default`.
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// Executes the plan once, and keeps its rows as a table of the server's catalog: `t` or
    /// `database.t`. They do not pass through this process.
    ///
    /// # Errors
    /// [`SparkError::Failed`](crate::error::SparkError::Failed) if the table exists and the mode
    /// does not say what then, and for whatever fails in executing or writing.
    pub fn save_as_table(self, name: &str) -> Result<()> {
        use proto::write_operation::SaveMode as Mode;
        let mode = match self.mode {
            SaveMode::ErrorIfExists => Mode::ErrorIfExists,
            SaveMode::Append => Mode::Append,
            SaveMode::Overwrite => Mode::Overwrite,
            SaveMode::Ignore => Mode::Ignore,
        };
        let write = proto::WriteOperation {
            input: Some(self.frame.relation.clone()),
            source: self.format,
            mode: mode.into(),
            save_type: Some(SaveType::Table(SaveTable {
                table_name: name.to_owned(),
                save_method: TableSaveMethod::SaveAsTable.into(),
            })),
            ..Default::default()
        };
        let command = CommandType::WriteOperation(write);
        self.frame.execute("writing a table at", command)
    }
}
