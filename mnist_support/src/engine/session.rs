//! The engine that a program works with.

use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Engine, Spark, Threads, from_environment};
use crate::{Result, spark::SparkSession};

/// Where fits and transformations run, for as long as it lives, as SparkML's `SparkSession`: threads of this
/// process, or one session of a Spark cluster, to which the workers' program is sent once.
///
/// `pipeline.fit(…)` and `model.transform(…)` run in the process's [own](Self::get_or_create); a session of
/// your own has `fit` and `transform`, too. Clones are the same session.
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

/// The process's session, once it is made.
fn current() -> MutexGuard<'static, Option<Session>> {
    static CURRENT: Mutex<Option<Session>> = Mutex::new(None);
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session with an engine of your choice.
    pub fn new(engine: impl Engine) -> Self {
        Session {
            engine: Arc::new(engine),
        }
    }

    /// A session on threads of this process.
    pub fn threads() -> Self {
        Session::new(Threads)
    }

    /// A session of the Spark Connect server at `sc://host:port`.
    ///
    /// # Errors
    /// Those of [`Spark::connect`].
    pub fn remote(url: &str) -> Result<Self> {
        Ok(Session::new(Spark::connect(url)?))
    }

    /// The process's session, in which `pipeline.fit(…)` and `model.transform(…)` run. The first call makes
    /// it, on the Spark cluster that the variable `SPARK_REMOTE` names, or else on threads; later calls do
    /// not look at the variable again.
    ///
    /// # Errors
    /// Those of [`Spark::connect`]; the next call then tries again.
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

    /// Makes this session the process's, in place of the one that there is.
    pub fn set_default(&self) {
        *current() = Some(self.clone());
    }

    /// Ends this session, as soon as its last clone and what runs in it are gone. Where it is the process's,
    /// the next `pipeline.fit(…)` makes a new one.
    pub fn stop(self) {
        let mut current = current();
        let is_current = |session: &Session| Arc::ptr_eq(&session.engine, &self.engine);
        let stopped = current.take_if(|session| is_current(session));
        drop(current);
        // A server is told, which may take a moment: nobody else is to wait for that.
        drop(stopped);
    }

    /// What runs the ranks.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The Spark session, for its tables and queries; `None` on threads.
    pub fn spark(&self) -> Option<&SparkSession> {
        let engine: &dyn Any = &*self.engine;
        engine.downcast_ref::<Spark>().map(Spark::session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_s_session_is_made_once_and_anew_after_it_was_stopped() {
        let first = Session::get_or_create().unwrap();
        let again = Session::get_or_create().unwrap();
        assert!(Arc::ptr_eq(&first.engine, &again.engine));

        let other = Session::threads();
        other.set_default();
        let current = Session::get_or_create().unwrap();
        assert!(Arc::ptr_eq(&current.engine, &other.engine));
        // Another than the process's leaves it.
        first.stop();
        let current = Session::get_or_create().unwrap();
        assert!(Arc::ptr_eq(&current.engine, &other.engine));

        other.stop();
        let anew = Session::get_or_create().unwrap();
        assert!(!Arc::ptr_eq(&anew.engine, &current.engine));
    }
}
