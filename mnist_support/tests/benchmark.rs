//! The statistics that `make bench` computes from its measurements.
#![allow(dead_code)] // the benchmark itself uses the rest

use std::process::{self, Command};

use pairs::{Better, Pair, Pairs, Try, median, range, run_pairs};
use processes::Process;
use results::{Entry, merge, save};
use serde_json::{Value, json};

#[path = "../benches/versus/load.rs"]
mod load;
#[path = "../benches/versus/pairs.rs"]
mod pairs;
#[path = "../benches/versus/processes.rs"]
mod processes;
#[path = "../benches/versus/results.rs"]
mod results;
#[path = "../benches/versus/table.rs"]
mod table;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn measured(ours: f64, peer: f64) -> Try {
    Try::Measured { ours, peer }
}

fn entry(name: &str, ratios: &[f64]) -> Entry {
    let pairs = ratios
        .iter()
        .map(|&ratio| Pair::new(Better::Higher, 20_000.0 * ratio, 20_000.0, 0.01))
        .collect();
    let notes = vec!["a note".to_owned()];
    Entry::new(name, "images/s", "PyTorch", Pairs { pairs, notes })
}

#[test]
fn the_median_is_the_middle_and_of_an_even_number_the_mean_of_the_two() {
    assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    assert_eq!(range([3.0, 1.0, 2.0]), [1.0, 3.0]);
}

#[test]
fn a_ratio_is_above_one_where_ours_is_better() {
    assert_eq!(Pair::new(Better::Higher, 30.0, 20.0, 0.0).ratio, 1.5);
    assert_eq!(Pair::new(Better::Lower, 2.0, 3.0, 0.0).ratio, 1.5);
}

#[test]
fn the_ratio_of_a_row_is_the_median_of_the_pairs_ratios() {
    // The medians of the two sides alone would give 2.
    let tries = [(1.0, 1.0), (4.0, 1.0), (6.0, 3.0), (4.0, 4.0), (20.0, 20.0)];
    let pairs = run_pairs(5, Better::Higher, |number| {
        Ok((measured(tries[number].0, tries[number].1), 0.0))
    });
    let entry = Entry::new("train", "images/s", "PyTorch", pairs.unwrap());
    assert_eq!((entry.ours, entry.peer, entry.ratio), (4.0, 3.0, 1.0));
    assert_eq!((entry.runs, entry.ratio_range), (5, [1.0, 4.0]));
}

#[test]
fn a_disturbed_pair_is_run_again_and_does_not_count() {
    let pairs = run_pairs(3, Better::Higher, |number| {
        let load = if number == 1 { 0.4 } else { 0.02 };
        Ok((measured(number as f64, 1.0), load))
    })
    .unwrap();
    let ours: Vec<f64> = pairs.pairs.iter().map(|pair| pair.ours).collect();
    assert_eq!(ours, [0.0, 2.0, 3.0]);
    assert_eq!(pairs.notes.len(), 1, "{:?}", pairs.notes);
}

#[test]
fn on_a_machine_that_stays_busy_the_least_disturbed_pairs_count_and_it_says_so() {
    let loads = [0.9, 0.1, 0.3, 0.8, 0.2, 0.7];
    let pairs = run_pairs(3, Better::Higher, |number| {
        Ok((measured(number as f64, 1.0), loads[number]))
    })
    .unwrap();
    let ours: Vec<f64> = pairs.pairs.iter().map(|pair| pair.ours).collect();
    assert_eq!(ours, [1.0, 4.0, 2.0]);
    assert!(pairs.notes.join(" ").contains("2 of the pairs that count"));
}

#[test]
fn pairs_that_cannot_be_compared_are_run_again_but_not_for_ever() {
    let mut tries = 0;
    let error = run_pairs(2, Better::Lower, |_| {
        tries += 1;
        Ok((Try::Rejected("it read 97 % right".to_owned()), 0.0))
    })
    .unwrap_err()
    .to_string();
    assert_eq!(tries, 4);
    assert!(error.starts_with("only 0 of 2 pairs"), "{error}");
    assert!(error.contains("97 %"), "{error}");
}

#[test]
fn the_machine_is_busy_with_all_but_idling_and_waiting() {
    let stat = "cpu  100 20 30 4000 500 6 7 8 50 60\ncpu0 1 2 3 4\n";
    assert_eq!(load::busy_ticks(stat), Some(100 + 20 + 30 + 6 + 7 + 8));
    assert_eq!(load::busy_ticks("cpu0 1 2 3 4\n"), None);
}

#[test]
fn other_processes_have_what_is_busy_and_not_our_own_by_whichever_account_shows_more() {
    assert_eq!(load::others(200, 180, 150), 50);
    assert_eq!(load::others(140, 180, 150), 30);
    assert_eq!(load::others(140, 145, 150), 0);
}

#[test]
fn a_process_may_be_called_anything() {
    let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 11 12 13 14 20 0 1 0 100 0 0";
    let process = Process {
        id: 42,
        parent: 7,
        ticks: 11 + 12 + 13 + 14,
    };
    assert_eq!(processes::parse(stat), Some(process));
    assert_eq!(processes::parse("42 (cut"), None);
}

#[test]
fn a_tree_has_children_of_children_and_nobody_else() {
    let process = |id, parent| Process {
        id,
        parent,
        ticks: 1,
    };
    let all =
        [(1, 0), (5, 1), (9, 7), (7, 5), (8, 1), (6, 5)].map(|(id, parent)| process(id, parent));
    let ids = processes::descendants(5, &all)
        .iter()
        .map(|one| one.id)
        .collect::<Vec<_>>();
    assert_eq!(ids, [5, 7, 6, 9]);
    assert!(processes::descendants(77, &all).is_empty());
}

#[test]
fn this_process_and_what_it_starts_are_found_with_their_memory() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let all = processes::all().unwrap();
    let tree = processes::descendants(process::id(), &all);
    let found = [process::id(), child.id()].map(|id| tree.iter().any(|one| one.id == id));
    let memory = processes::memory(process::id());
    assert!(all.len() > tree.len(), "this process has a parent");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, [true, true]);
    assert!(memory > 1_000_000, "{memory}");
    assert_eq!(
        processes::proportional_bytes("Rss:  90 kB\nPss:  12 kB\nPss_Dirty: 3 kB\n"),
        Some(12 * 1024)
    );
}

#[test]
fn a_row_replaces_the_one_of_its_name_and_the_others_stay_as_they_are() {
    let there = vec![
        json!({"name": "train", "ratio": 0.5}),
        json!({"name": "cell", "ratio": 2.5, "something": "else"}),
    ];
    let merged = merge(there, &[entry("train", &[1.5]), entry("predict", &[1.2])]).unwrap();
    let names: Vec<&Value> = merged.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["train", "cell", "predict"]);
    assert_eq!(merged[0]["ratio"], 1.5);
    assert_eq!(merged[1]["something"], "else");
}

#[test]
fn the_file_is_made_kept_and_never_overwritten_when_it_is_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.json");
    save(&file, &[entry("train", &[1.0])]).unwrap();
    save(&file, &[entry("predict", &[1.0])]).unwrap();
    let rows: Vec<Entry> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(rows.len(), 2);
    std::fs::write(&file, "{}").unwrap();
    assert!(save(&file, &rows).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"{}");
}

#[test]
fn the_table_says_whether_the_target_is_reached() {
    let rows = [
        entry("train", &[1.4, 1.52, 1.6]).target(1.5),
        entry("predict", &[1.1, 1.1, 1.3]).target(1.2),
        entry("csv-default", &[31.25]),
    ];
    let text = table::table(&rows);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[1],
        "train        30,400 images/s   20,000 images/s  1.52 (1.40 to 1.60)  1.50     reached"
    );
    assert!(lines[2].ends_with("1.20     missed"), "{text}");
    assert!(lines[3].ends_with("31.2 (31.2 to 31.2)"), "{text}");
    assert!(text.contains("a note"), "{text}");
}
