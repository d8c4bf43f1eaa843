//! Altered files, for the tests of parsers: a parser returns an error or something, within
//! reasonable time and memory, and never panics.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use rand::{Rng, RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// How many files are tried in every run of the tests.
const FEW: usize = 300;
/// The longest that a parser may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Names how long [`Fuzz::for_a_while`] goes on.
const SECONDS_VARIABLE: &str = "MNIST_FUZZ_SECONDS";

/// Numbers that are often mistaken, as a file's bytes.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];
/// Numbers that are often mistaken, as text.
const DIGITS: [&str; 11] = [
    "0",
    "-1",
    "1",
    "255",
    "256",
    "2147483648",
    "-9223372036854775808",
    "18446744073709551616",
    "1e999",
    "0.1",
    "null",
];

/// A parser's files, and what else may stand in them.
pub(crate) struct Fuzz {
    /// The name of the parser.
    pub(crate) name: &'static str,
    /// Valid files.
    pub(crate) files: Vec<Vec<u8>>,
    /// Parts of such files.
    pub(crate) parts: &'static [&'static [u8]],
}

impl Fuzz {
    /// Parses a few hundred altered files, the same in each run. `parse` says whether a file could
    /// be read. Returns how many could.
    pub(crate) fn a_few(&self, parse: impl FnMut(&[u8], &mut ChaCha8Rng) -> bool) -> usize {
        let (tried, read) = self.run(1, |tried| tried < FEW, parse);
        println!(
            "{}: {read} of {tried} altered files could be read",
            self.name
        );
        read
    }

    /// Parses altered files for `MNIST_FUZZ_SECONDS`:
    ///
    /// `MNIST_FUZZ_SECONDS=600 cargo test --lib csv::fuzz::for_a_while -- --ignored --nocapture`
    pub(crate) fn for_a_while(&self, parse: impl FnMut(&[u8], &mut ChaCha8Rng) -> bool) {
        let seconds = env::var(SECONDS_VARIABLE).ok();
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        let seconds = seconds.unwrap_or_else(|| panic!("set {SECONDS_VARIABLE}"));
        let (start, seed) = (Instant::now(), rand::random());
        println!("{}: seed {seed}", self.name);
        let goes_on = |_| start.elapsed().as_secs() < seconds;
        let (tried, read) = self.run(seed, goes_on, parse);
        println!(
            "{}: {tried} altered files, {read} of them could be read",
            self.name
        );
    }

    fn run(
        &self,
        seed: u64,
        goes_on: impl Fn(usize) -> bool,
        mut parse: impl FnMut(&[u8], &mut ChaCha8Rng) -> bool,
    ) -> (usize, usize) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut tried, mut read) = (0, 0);
        // If the process is ended, the file is still there.
        let file = format!("fuzz-{}-{seed}-{}", self.name, std::process::id());
        let last = env::temp_dir().join(file);
        while goes_on(tried) {
            let file = self.altered(&mut random);
            fs::write(&last, &file).unwrap();
            let (start, mut again) = (Instant::now(), random.clone());
            let parsed = catch_unwind(AssertUnwindSafe(|| parse(&file, &mut random)));
            let place = last.display();
            match parsed {
                Ok(parsed) => read += usize::from(parsed),
                Err(panic) => {
                    println!(
                        "{}: {place}, the {tried}th of seed {seed}, panics",
                        self.name
                    );
                    resume_unwind(panic);
                }
            }
            if start.elapsed() > LONGEST {
                // Unless it was the machine that was slow.
                let start = Instant::now();
                parse(&file, &mut again);
                let time = start.elapsed();
                assert!(time < LONGEST, "{}: {place} takes {time:?}", self.name);
            }
            tried += 1;
        }
        fs::remove_file(&last).unwrap();
        (tried, read)
    }

    /// One of the files, with one to four alterations.
    fn altered(&self, random: &mut ChaCha8Rng) -> Vec<u8> {
        let mut file = self.files.choose(random).unwrap().clone();
        for _ in 0..random.random_range(1..5) {
            self.alter(&mut file, random);
        }
        file
    }

    fn alter(&self, file: &mut Vec<u8>, random: &mut ChaCha8Rng) {
        if file.is_empty() {
            file.extend(*self.parts.choose(random).unwrap_or(&&b"0"[..]));
            return;
        }
        // What tells the layout of a file is at its beginning or its end.
        let length = file.len();
        let place = match random.random_range(0..4) {
            0 => random.random_range(0..length.min(200)),
            1 => length - 1 - random.random_range(0..length.min(200)),
            _ => random.random_range(0..length),
        };
        let some =
            |random: &mut ChaCha8Rng| random.random_range(1..40.min(length - place + 1).max(2));
        match random.random_range(0..10) {
            0 => file[place] ^= 1 << random.random_range(0..8),
            1 => file[place] = random.random(),
            2 => {
                let number = NUMBERS.choose(random).unwrap().to_le_bytes();
                let width = [1, 2, 4, 8][random.random_range(0..4)].min(length - place);
                file[place..place + width].copy_from_slice(&number[..width]);
            }
            3 => {
                let end = (place + some(random)).min(length);
                file.drain(place..end);
            }
            4 => file.truncate(place),
            5 => {
                let end = (place + some(random)).min(length);
                let copy = file[place..end].to_vec();
                let at = random.random_range(0..=length);
                file.splice(at..at, copy);
            }
            6 => {
                let other = self.files.choose(random).unwrap();
                let start = random.random_range(0..=other.len());
                let end = other.len().min(start + random.random_range(0..100));
                file.splice(place..place, other[start..end].iter().copied());
            }
            7 => {
                let digits = file[place..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit());
                let end = place + digits.count();
                let number = DIGITS.choose(random).unwrap().bytes();
                file.splice(place..end, number);
            }
            _ => {
                let mut random_part = [0; 4];
                random.fill_bytes(&mut random_part);
                let part = self.parts.choose(random).copied().unwrap_or(&random_part);
                file.splice(place..place, part.iter().copied());
            }
        }
    }
}
