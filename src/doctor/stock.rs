//! What cage has on the engine: image, home, and the room that things take.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Check, Facts, Inside, Level, Store};
use crate::base::text;
use crate::cage::user::{ImageUser, Mapping};
use crate::engine::container::Image;
use crate::host::ids::Ids;
use crate::lifecycle::start::is_local;

/// With less than this left, in bytes, an image or a build soon fails.
const LITTLE: u64 = 2_000_000_000;

/// The image for new cages.
pub fn image(facts: &Facts, inside: &Inside, store: &Store) -> Check {
    let name = &facts.host.image;
    let Some(image) = &store.image else {
        return if is_local(&facts.host.image) {
            Check::new(
                "image",
                Level::Problem,
                format!("{name} is not here, and a name without a slash is never pulled"),
            )
            .fix("build it, or set CAGE_IMAGE to an image that can be pulled")
        } else {
            Check::new("image", Level::Ok, format!("{name} is not here yet: `cage start` pulls it"))
        };
    };
    match &inside.user {
        Some(Err(told)) => Check::told("image", Level::Problem, told),
        user => {
            let mut text = format!("{name}{}, {}", age(image), text::bytes(image.size));
            if let Some(Ok(user)) = user {
                let _ = write!(text, ", user {} ({})", &user.name, user.ids);
            }
            let engine = facts.server().map(|(_, server)| server.architecture.as_str()).unwrap_or_default();
            let is_other =
                !engine.is_empty() && !image.architecture.is_empty() && image.architecture != engine;
            if is_other {
                let message =
                    format!("{text}; it is for {}, and the engine has {engine}", &image.architecture);
                Check::new("image", Level::Warning, message)
                    .fix("it runs slowly, if at all: set CAGE_IMAGE to an image for this machine")
            } else {
                Check::new("image", Level::Ok, text)
            }
        }
    }
}

fn age(image: &Image) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86400;
    let Some(date) = &image.date else { return String::new() };
    match day(date).and_then(|day| i64::try_from(now).ok()?.checked_sub(day)) {
        Some(1) => format!(", made on {date}, yesterday"),
        Some(days) if days > 1 => format!(", made on {date}, {days} days ago"),
        _ => format!(", made on {date}"),
    }
}

/// The number of a day, `YYYY-MM-DD`, from 1970-01-01 on, in the Gregorian calendar: years begin in March here, so that a
/// leap day comes last.
fn day(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month < 3 { year - 1 } else { year };
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + in_year - 719_468)
}

/// The home that cages share.
pub fn home(facts: &Facts, inside: &Inside, store: &Store) -> Check {
    let name = &facts.host.home_volume;
    let Some(volume) = &store.home else {
        return Check::new("home", Level::Ok, format!("{name} is not there yet: `cage start` makes it"));
    };
    if !volume.is_plain() {
        return Check::new("home", Level::Problem, format!("{name} was made with a driver or options")).fix(
            "cage's home must be a volume of its own: remove that one, or name another with CAGE_HOME_VOLUME",
        );
    }
    let size = inside.disk.home.map(|size| format!(", {}", text::bytes(size))).unwrap_or_default();
    let Some(owner) = inside.trial.owner else {
        return Check::new("home", Level::Ok, format!("{name}{size}"));
    };
    let user = inside.user.as_ref().and_then(|user| user.as_ref().ok());
    match inside.trial.expected.or_else(|| expected(facts, user?, inside.person)) {
        Some(expected) if expected != owner => Check::new(
            "home",
            Level::Warning,
            format!("{name}{size} belongs to {owner} inside, and cages here act as {expected}"),
        )
        .fix("the next new cage of this directory takes it over; `--home project` leaves it alone"),
        Some(_) => Check::new("home", Level::Ok, format!("{name}{size}, yours")),
        None => Check::new("home", Level::Ok, format!("{name}{size}, of {owner} inside")),
    }
}

/// Whose the home should be, seen from a container that maps nobody; in a virtual machine that depends on the project.
fn expected(facts: &Facts, user: &ImageUser, person: Ids) -> Option<Ids> {
    let (candidate, server) = facts.server()?;
    if server.engine.machine.is_some() {
        return None;
    }
    match Mapping::decide(candidate.runtime.as_ref()?.kind, &server.engine, user, person, None) {
        Mapping::KeepId(_) => Some(Ids::ROOT),
        mapping => Some(mapping.inside(user)),
    }
}

/// Room, cages, and what may go.
pub fn room(inside: &Inside, store: &Store) -> Vec<Check> {
    let disk = &inside.disk;
    let size = |what: &str, size: Option<u64>| size.map(|size| format!("{what} {}", text::bytes(size)));
    let old: u64 = inside.unused.images.iter().map(|image| image.size).sum();
    let parts = [
        size("cages", disk.cages),
        size("shared home", disk.home),
        size("other homes", disk.own_homes.filter(|size| *size > 0)),
        size("image", store.image.as_ref().map(|image| image.size)),
        size("old images", Some(old).filter(|size| *size > 0)),
        disk.free.map(|free| format!("{} left", text::bytes(free))),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut checks = Vec::new();
    if !text.is_empty() {
        let check = if disk.free.is_some_and(|free| free < LITTLE) {
            Check::new("disk", Level::Warning, text)
                .fix("`cage prune`, or the engine's `system prune`, frees some")
        } else {
            Check::new("disk", Level::Ok, text)
        };
        checks.push(check);
    }
    let up = store.cages.iter().filter(|cage| cage.state.is_up()).count();
    let cages = match store.cages.len() {
        0 => "none yet".to_owned(),
        total => format!("{total}, {up} of them up"),
    };
    checks.push(Check::new("cages", Level::Ok, cages));
    let unused = &inside.unused;
    let things: Vec<String> = [
        (unused.cages.len(), "cages whose directory is gone"),
        (unused.homes.len(), "homes of projects that are gone"),
        (unused.images.len(), "old images"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{what}: {count}"))
    .collect();
    if !things.is_empty() {
        checks.push(Check::new("unused", Level::Warning, things.join(", ")).fix("`cage prune` removes them"));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted() {
        assert_eq!(day("1970-01-01"), Some(0));
        assert_eq!(day("2000-03-01").unwrap() - day("2000-02-28").unwrap(), 2);
        assert_eq!(day("2026-11-25").unwrap() - day("2025-11-25").unwrap(), 365);
        for rubbish in ["", "2026", "2026-13-01", "a-b-c", "99999999999999999999-1-1"] {
            assert_eq!(day(rubbish), None);
        }
    }
}
