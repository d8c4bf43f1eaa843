//! The session that a program works with.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Engine, Spark, Threads, from_environment};
use crate::{Result, spark::SparkSession};

/// Runs fits and transformations, like SparkML's `SparkSession`: on threads of this process, or in
/// one session of a Spark cluster, to which the worker program is sent once.
///
/// `pipeline.fit(…)` and `model.transform(…)` run in the [session of the
/// process](Self::get_or_create). A session of your own has `fit` and `transform` too. Clones refer
/// to the same session, and threads may share one: on Spark, a fit waits while others have the
/// cores that it needs.
///
/// ```
/// use mnist_support::{engine::Session, ml::VectorAssembler, ml::Pipeline};
/// use polars::prelude::*;
///
/// let frame = df!("x" => [0.0_f32, 1.0], "y" => [3.0_f32, 2.0])?;
/// let pipeline = Pipeline::new()
///     .stage(VectorAssembler::new().input_cols(["x", "y"]).output_col("features"));
/// let session = Session::threads(); // or Session::remote("sc://127.0.0.1:15002")?
/// let model = session.fit(&pipeline, &frame)?;
/// assert_eq!(session.transform(&model, &frame)?.width(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    engine: Arc<dyn Engine>,
}

/// The session of the process, once it has been created.
fn current() -> MutexGuard<'static, Option<Session>> {
    static CURRENT: Mutex<Option<Session>> = Mutex::new(None);
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Creates a session with an engine of your choice.
    pub fn new(engine: impl Engine) -> Self {
        Session {
            engine: Arc::new(engine),
        }
    }

    /// Creates a session on threads of this process.
    pub fn threads() -> Self {
        Session::new(Threads)
    }

    /// Creates a session on the Spark Connect server at `sc://host:port`.
    ///
    /// # Errors
    /// Those of [`Spark::connect`].
    pub fn remote(url: &str) -> Result<Self> {
        Ok(Session::new(Spark::connect(url)?))
    }

    /// Returns the session of the process, in which `pipeline.fit(…)` and `model.transform(…)` run.
    /// The first call creates it, on the Spark cluster that the variable `SPARK_REMOTE` names, or
    /// else on threads. Later calls do not read the variable again.
    ///
    /// # Errors
    /// Those of [`Spark::connect`]; the next call tries again.
    pub fn get_or_create() -> Result<Self> {
        let mut current = current();
        if let Some(session) = &*current {
            return Ok(session.clone());
        }
        let session = Session {
            engine: Arc::from(from_environment()?),
        };
        *current = Some(session.clone());
        Ok(session)
    }

    /// Makes this the session of the process, replacing the current one.
    pub fn set_default(&self) {
        *current() = Some(self.clone());
    }

    /// Ends this session as soon as its last clone and whatever runs in it are gone. If it is the
    /// session of the process, the next `pipeline.fit(…)` creates a new one.
    pub fn stop(self) {
        let mut current = current();
        let is_current = |session: &Session| Arc::ptr_eq(&session.engine, &self.engine);
        let stopped = current.take_if(|session| is_current(session));
        drop(current);
        // Telling the server may take a moment, and nobody else should have to wait for that.
        drop(stopped);
    }

    /// The engine that runs the ranks.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The Spark session, for its tables and queries; `None` on threads.
    pub fn spark(&self) -> Option<&SparkSession> {
        self.spark_engine().map(Spark::session)
    }

    pub(crate) fn spark_engine(&self) -> Option<&Spark> {
        let engine: &dyn Any = &*self.engine;
        engine.downcast_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_of_the_process_is_created_once_and_again_after_stop() {
        let first = Session::get_or_create().unwrap();
        let again = Session::get_or_create().unwrap();
        assert!(Arc::ptr_eq(&first.engine, &again.engine));

        let other = Session::threads();
        other.set_default();
        let current = Session::get_or_create().unwrap();
        assert!(Arc::ptr_eq(&current.engine, &other.engine));
        // Stopping another session than the process's leaves the process's alone.
        first.stop();
        let current = Session::get_or_create().unwrap();
        assert!(Arc::ptr_eq(&current.engine, &other.engine));

        other.stop();
        let anew = Session::get_or_create().unwrap();
        assert!(!Arc::ptr_eq(&anew.engine, &current.engine));
    }
}
