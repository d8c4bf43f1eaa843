//! A fit on several machines: a driver with Spark's master and Connect server, two Spark workers,
//! and the lake. They share nothing but a network, so all else travels through the lake.

#[path = "azurite/mod.rs"]
mod azurite;
#[path = "common/spark.rs"]
mod cluster;
mod common;
mod machines;

use std::{
    env,
    io::Write,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{bits, digits, estimator, pipeline, pixel_columns};
use machines::{Machines, Running};
use mnist_support::{
    engine::Session,
    lake::{Credentials, Lake},
    ml::{Pipeline, PipelineModel},
    secrets::SecretScope,
    shard::Data,
    train::{Progress, ProgressEvent},
};
use polars::prelude::ParquetWriter;

/// How long a step may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);
/// So many that the cut comes in their middle, however fast the machine is.
const ITERATIONS: usize = 5000;
/// How long a machine has no network: longer than its worker waits for the run's folder.
const CUT: Duration = Duration::from_secs(20);
/// What the driver says when the fit that is to be disturbed has begun.
const BEGUN: &str = "the long fit has begun";

#[test]
fn a_fit_on_several_machines_outlives_a_cut_and_its_predictions_go_into_the_lake() {
    let Some(java) = cluster::java() else { return };
    let names = ["driver", "first", "second", "lake"];
    let Some(machines) = Machines::start("a fit on several machines", &names) else {
        return;
    };
    let start = Instant::now();
    let tell = |what: &str| {
        let told = format!("{what} after {:.0} s\n", start.elapsed().as_secs_f64());
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    };
    let mut house = House::new(machines, &java);
    house.start();
    tell("several machines: Spark is up");
    let driver = house.drive();
    driver.until_it_says(BEGUN, LIMIT);
    tell("several machines: a fit has ended, and a longer one begun");
    house.machines.cut("second");
    thread::sleep(CUT);
    house.machines.mend("second");
    driver.until_it_says("restarted: ", LIMIT);
    tell("several machines: it was restarted");
    let (status, said) = driver.end(LIMIT);
    assert_eq!(status, 0, "{said}\n{}", house.said());
    tell("several machines: it has ended");

    // What the rank on the machine without a network said, and how it ended.
    let logs = ["sh", "-c", "cat /tmp/work/*/*/stderr"];
    let (_, logs) = house.machines.run("second", &[], &logs).end(LIMIT);
    let sentence = "mnist-worker: the run's folder could not be reached for ";
    assert!(logs.contains(sentence), "{logs}");
    assert!(
        !logs.contains("SIGSEGV") && !logs.contains("signal 11"),
        "{logs}"
    );
}

/// What runs on the machines.
struct House {
    machines: Machines,
    /// The variables of every machine: Spark's, and the lake's credentials.
    variables: Vec<(&'static str, String)>,
    spark_home: String,
    parts: Vec<(&'static str, Running)>,
}

impl House {
    fn new(machines: Machines, java: &Path) -> House {
        const FIND: &str = "import pyspark; print(pyspark.__path__[0])";
        let python = cluster::pyspark();
        let found = Command::new(&python).args(["-c", FIND]).output().unwrap();
        let spark_home = String::from_utf8(found.stdout).unwrap().trim().to_owned();
        let libtorch = Path::new(env!("CARGO_BIN_EXE_mnist-worker")).with_file_name("libtorch/lib");
        let executors_python = cluster::python();
        let lake = machines.address("lake");
        let variables = vec![
            ("JAVA_HOME", java.to_str().unwrap().to_owned()),
            ("SPARK_HOME", spark_home.clone()),
            ("SPARK_CONF_DIR", "/tmp".to_owned()),
            ("SPARK_LOCAL_DIRS", "/tmp/local".to_owned()),
            ("SPARK_WORKER_DIR", "/tmp/work".to_owned()),
            (
                "PYSPARK_PYTHON",
                executors_python.to_str().unwrap().to_owned(),
            ),
            ("HOME", "/tmp".to_owned()),
            ("MNIST_LIBTORCH", libtorch.to_str().unwrap().to_owned()),
            ("MNIST_RUNS", "az://machines/runs".to_owned()),
            ("ADLS_ACCOUNT", "devstoreaccount1".to_owned()),
            ("ADLS_ACCESS_KEY", azurite::KEY.to_owned()),
            (
                "ADLS_ENDPOINT",
                format!("http://{lake}:10000/devstoreaccount1"),
            ),
        ];
        House {
            machines,
            variables,
            spark_home,
            parts: Vec::new(),
        }
    }

    /// Starts a command on a machine, which knows its own address.
    fn run(&mut self, on: &'static str, more: &[(&str, &str)], words: &[&str]) -> Running {
        let address = self.machines.address(on).to_owned();
        let own = [("SPARK_LOCAL_IP", address.as_str())];
        let shared = self
            .variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let variables: Vec<_> = shared.chain(own).chain(more.iter().copied()).collect();
        self.machines.run(on, &variables, words)
    }

    fn start_part(&mut self, on: &'static str, words: &[&str], says: &str) {
        let part = self.run(on, &[], words);
        if !says.is_empty() {
            part.until_it_says(says, LIMIT);
        }
        self.parts.push((on, part));
    }

    /// Starts the lake and Spark.
    fn start(&mut self) {
        let address = |name| self.machines.address(name).to_owned();
        let (lake, driver) = (address("lake"), address("driver"));
        let azurite = azurite::program();
        let azurite = [
            azurite.to_str().unwrap(),
            "--inMemoryPersistence",
            "--disableTelemetry",
            "--blobHost",
            &lake,
        ];
        self.start_part("lake", &azurite, "");
        let class = format!("{}/bin/spark-class", self.spark_home);
        let master = [
            class.as_str(),
            "org.apache.spark.deploy.master.Master",
            "--host",
            &driver,
            "--port",
            "7077",
            "--webui-port",
            "0",
        ];
        self.start_part("driver", &master, "Starting Spark master at");
        let master = format!("spark://{driver}:7077");
        for worker in ["first", "second"] {
            let own = self.machines.address(worker).to_owned();
            let words = [
                class.as_str(),
                "org.apache.spark.deploy.worker.Worker",
                "--host",
                &own,
                "--webui-port",
                "0",
                "--cores",
                "1",
                "--memory",
                "2g",
                &master,
            ];
            self.start_part(worker, &words, "");
        }
        for (_, worker) in &self.parts[2..] {
            worker.until_it_says("Successfully registered with master", LIMIT);
        }
        let submit = format!("{}/bin/spark-submit", self.spark_home);
        let settings = [
            format!("spark.driver.host={driver}"),
            format!("spark.driver.bindAddress={driver}"),
            format!("spark.connect.grpc.binding.address={driver}"),
            "spark.driver.memory=1g".to_owned(),
            "spark.executor.memory=1g".to_owned(),
            "spark.ui.enabled=false".to_owned(),
            "spark.sql.warehouse.dir=/tmp/warehouse".to_owned(),
        ];
        let mut words = vec![
            submit.as_str(),
            "--class",
            "org.apache.spark.sql.connect.service.SparkConnectServer",
            "--master",
            &master,
        ];
        words.extend(settings.iter().flat_map(|setting| ["--conf", setting]));
        words.push("spark-internal");
        self.start_part("driver", &words, "Spark Connect server started at");
    }

    /// Starts the driver's program, which is this test binary.
    fn drive(&mut self) -> Running {
        let program = env::current_exe().unwrap();
        let program = program.to_str().unwrap().to_owned();
        let remote = format!("sc://{}:15002", self.machines.address("driver"));
        let variables = [
            ("SPARK_REMOTE", remote.as_str()),
            ("MNIST_WORKER", env!("CARGO_BIN_EXE_mnist-worker")),
        ];
        let test = ["driver", "--exact", "--ignored", "--nocapture"];
        self.run(
            "driver",
            &variables,
            &[&[program.as_str()], &test[..]].concat(),
        )
    }

    /// The end of what each part has said.
    fn said(&self) -> String {
        let ends = self.parts.iter().map(|(on, part)| {
            let said = part.said();
            let lines: Vec<_> = said.lines().rev().take(20).collect();
            let lines: Vec<_> = lines.into_iter().rev().collect();
            format!("== on {on}:\n{}\n", lines.join("\n"))
        });
        ends.collect()
    }
}

/// Says when the fit has begun, and whether it was restarted.
#[derive(Default)]
struct Say(AtomicBool);

impl Progress for Say {
    fn report(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Iteration { losses, .. }
                if losses.iteration > 100 && !self.0.swap(true, Ordering::Relaxed) =>
            {
                println!("{BEGUN}");
            }
            ProgressEvent::Restarted { reason, .. } => println!("restarted: {reason}"),
            _ => {}
        }
    }
}

fn digits_pipeline(iterations: usize) -> Pipeline {
    let estimator = estimator()
        .iterations(iterations)
        .validation_fraction(0.2)
        .validation_every(50)
        .checkpoint_every(100)
        .max_restarts(3);
    pipeline(pixel_columns(&digits(1)), estimator)
}

#[test]
#[ignore = "the part of the test above that runs on the driver's machine"]
fn driver() {
    let credentials = Credentials::from_scope(&SecretScope::open("adls").unwrap()).unwrap();
    let lake = Lake::open("az://machines", &credentials).unwrap();
    // The lake may still be starting.
    cluster::until(LIMIT, "a lake", || lake.create_container().is_ok());
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).with_row_group_size(Some(50));
    writer.finish(&mut digits(400)).unwrap();
    lake.put("digits.parquet", bytes.into()).unwrap();
    let rows = lake.parquet("digits.parquet").unwrap();
    let session = Session::remote(&env::var("SPARK_REMOTE").unwrap()).unwrap();
    let threads = Session::threads();

    let short = digits_pipeline(50);
    let there = session.fit(&short, &rows).unwrap();
    assert_eq!(bits(&there), bits(&threads.fit(&short, &rows).unwrap()));

    let long = digits_pipeline(ITERATIONS);
    let start = Instant::now();
    let there = long.fit_with(&rows, session.engine(), &Say::default());
    let there: PipelineModel = there.unwrap();
    println!("the long fit took {:?}", start.elapsed());
    assert_eq!(bits(&there), bits(&threads.fit(&long, &rows).unwrap()));

    let folder = lake.folder("predictions");
    let data = Data::from(&rows);
    let engine = session.engine();
    engine
        .transform_to(&data, there.stages(), None, &folder)
        .unwrap();
    let parts = folder.list().unwrap();
    assert_eq!(
        parts,
        ["part-00000-c00000.parquet", "part-00001-c00000.parquet"]
    );
    let mut parts = parts
        .iter()
        .map(|name| folder.parquet(name).unwrap().collect().unwrap());
    let written = parts
        .next()
        .unwrap()
        .vstack(&parts.next().unwrap())
        .unwrap();
    let here = threads
        .engine()
        .transform(&data, there.stages(), None)
        .unwrap();
    assert_eq!(written, here);
}
