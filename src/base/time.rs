//! Times as engines write them, and ages for people.

use std::time::{Duration, SystemTime};

/// Reads a time in RFC 3339, with or without an offset from UTC. Engines write a time before 1970 for what never happened: `None`.
pub fn parse(text: &str) -> Option<SystemTime> {
    let rest = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let time = humantime::parse_rfc3339(&format!("{}Z", text.strip_suffix(rest)?)).ok()?;
    let (hours, minutes) = rest.get(1..).unwrap_or_default().split_once(':').unwrap_or_default();
    let seconds = |text: &str, unit: u64| text.parse::<u64>().map(|number| number * unit).unwrap_or_default();
    let offset = Duration::from_secs(seconds(hours, 3600) + seconds(minutes, 60));
    if rest.starts_with('-') { time.checked_add(offset) } else { time.checked_sub(offset) }
}

/// Returns how long ago a time was, in one unit: `12s`, `3m`, `47h`, `8d`. A clock that is ahead counts as now.
pub fn age(time: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(time).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_times_are_read() {
        let seconds =
            |text| parse(text)?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|age| age.as_secs());
        let time = seconds("2026-11-27T19:10:04Z");
        assert_eq!(time, Some(1_795_806_604));
        for same in
            ["2026-11-27T19:10:04.188562064Z", "2026-11-27T21:40:04.1+02:30", "2026-11-27T14:10:04-05:00"]
        {
            assert_eq!(seconds(same), time, "{same}");
        }
        let fraction = parse("2026-11-27T19:10:04.5+00:00").unwrap();
        assert_eq!(fraction, parse("2026-11-27T19:10:04Z").unwrap() + Duration::from_millis(500));
        for never in ["0001-01-01T00:00:00Z", "", "soon", "2026-11-27T19:10:0é"] {
            assert_eq!(parse(never), None, "{never}");
        }
    }

    #[test]
    fn an_age_has_one_unit() {
        let ages = [0, 59, 60, 3599, 3600, 172_799, 172_800, 864_000];
        let ages = ages.map(|seconds| age(SystemTime::now() - Duration::from_secs(seconds)));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "47h", "2d", "10d"]);
        assert_eq!(age(SystemTime::now() + Duration::from_secs(60)), "0s");
    }
}
