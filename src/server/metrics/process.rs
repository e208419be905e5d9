//! What the system knows about this process, from `/proc`. Elsewhere there is less.

use std::fs;

use super::{families as f, readings::Reading};

/// The unit of times in `/proc/self/stat`; a constant of Linux.
const TICKS: f64 = 100.0;

pub(crate) fn process_readings() -> Vec<Reading> {
    let mut readings = Vec::new();
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        readings.push(Reading::new(&f::PROCESS_CPU, stat.cpu_ticks / TICKS));
        readings.push(Reading::new(&f::PROCESS_THREADS, stat.threads));
        if let Some(booted) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
            readings.push(Reading::new(&f::PROCESS_START, booted + stat.start_ticks / TICKS));
        }
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        readings.push(Reading::new(&f::PROCESS_RESIDENT, bytes));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        readings.push(Reading::new(&f::PROCESS_FDS, files.count().saturating_sub(1) as f64));
    }
    readings
}

struct Stat {
    cpu_ticks: f64,
    threads: f64,
    start_ticks: f64,
}

impl Stat {
    /// The fields behind the name, which may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, threads: field(20)?, start_ticks: field(22)? })
    }
}

fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn resident(text: &str) -> Option<f64> {
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kib.trim().parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_found_behind_odd_names() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 700 300 0 0 20 0 9 0 12345 1 2";
        let Stat { cpu_ticks, threads, start_ticks } = Stat::parse(stat).expect("fields");
        assert_eq!((cpu_ticks, threads, start_ticks), (1000.0, 9.0, 12345.0));
        assert_eq!(boot_time("cpu 1\nbtime 1795000000\n"), Some(1_795_000_000.0));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    12 kB\n"), Some(12_288.0));
        assert!(Stat::parse("nothing").is_none() && resident("").is_none() && boot_time("").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn process_reads_itself() {
        assert_eq!(process_readings().len(), 5);
    }
}
