//! The checks of settings, engines, files and the project.

use std::fmt::Write as _;

use super::engine_checks::engine_checks;
use super::engines::Client;
use super::facts::Facts;
use super::personal_checks::personal;
use super::report::{Check, Level, count};
use super::resource_checks::{agent, home, image};
use crate::cage::defaults;
use crate::engine::error::Trouble;
use crate::engine::place;

/// Returns all checks, in the order in which an engineer would look.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = settings(facts);
    checks.extend(programs(facts));
    let no_client = facts.no_client.iter().map(|error| Check::error("engine", Level::Problem, error));
    checks.extend(no_client);
    checks.extend(facts.clients.iter().enumerate().map(|(index, client)| engine(facts, index, client)));
    checks.extend(facts.rootless_problems.iter().cloned());
    if let Some((client, info)) = facts.engine() {
        checks.extend(engine_checks(&facts.host, client, info));
    }
    match &facts.resources {
        Some(Ok(resources)) => checks.extend([image(facts, resources), home(facts, resources)]),
        Some(Err(error)) => checks.push(Check::error("engine", Level::Problem, error)),
        None => {}
    }
    checks.push(agent(facts));
    checks.extend(facts.personal.iter().flat_map(personal));
    checks.extend(facts.env_files.as_ref().map(|variables| match variables {
        Ok(number) => Check::ok("env-files", count(*number, "variable")),
        Err(error) => Check::error("env-files", Level::Problem, error),
    }));
    // The current directory need not be a project.
    checks.push(match &facts.project {
        Ok(path) => Check::ok("project", path),
        Err(error) => Check::error("project", Level::Warning, error),
    });
    checks
}

/// The variables of the script's `dstart`.
const SCRIPTS_VARIABLES: [&str; 4] = ["CAGE_SRC_ROOT", "CAGE_VM_CPU", "CAGE_VM_MEMORY", "CAGE_VM_DISK"];

/// Returns a warning if PATH has more than one cage, such as the script and this program.
fn programs(facts: &Facts) -> Option<Check> {
    let shown = facts.programs.iter().map(|(path, is_script)| {
        format!("{}{}", path.display(), if *is_script { " (a script)" } else { "" })
    });
    let shown: Vec<String> = shown.collect();
    (shown.len() > 1).then(|| {
        let message = format!("PATH has {} programs called cage: {}", shown.len(), shown.join(", "));
        Check::warning(
            "program",
            message,
            "a shell runs the first; uninstall the other, or change their order in PATH",
        )
    })
}

fn settings(facts: &Facts) -> Vec<Check> {
    let invalid = facts.invalid_settings.iter();
    let mut checks: Vec<_> = invalid.map(|error| Check::error("settings", Level::Problem, error)).collect();
    let (set, unknown) = facts.variables();
    for name in unknown {
        if SCRIPTS_VARIABLES.contains(&name) {
            let what = format!("{name} is for the script's `dstart`, which this cage doesn't have");
            checks.push(Check::warning(
                "settings",
                what,
                "unset it; `cage dstart` explains what to do instead",
            ));
            continue;
        }
        let fix = match similar_setting(name) {
            Some(setting) => format!("did you mean {setting}?"),
            None => "`cage help` and `cage help start` list the variables of cage".to_owned(),
        };
        checks.push(Check::warning("settings", format!("{name} is not a variable of cage"), fix));
    }
    checks.extend((!set.is_empty()).then(|| Check::ok("settings", format!("set: {}", set.join(", ")))));
    checks
}

/// Returns the setting with the most similar name, if there is a similar one.
pub(super) fn similar_setting(name: &str) -> Option<&'static str> {
    let distance = |setting: &&str| strsim::damerau_levenshtein(name, setting);
    defaults::settings().min_by_key(distance).filter(|nearest| distance(nearest) <= 2)
}

/// Returns whether an engine answers and whether cage uses it.
fn engine(facts: &Facts, index: usize, client: &Client) -> Check {
    let (name, is_used) = (&client.name, facts.used == Some(index));
    let at = if client.endpoint.is_empty() { String::new() } else { format!(" at {}", client.endpoint) };
    let error = match &client.info {
        Ok(info) => {
            let usage = match (is_used, facts.chosen_by) {
                (true, Some(why)) => format!("used, {why}"),
                (true, None) => "used".to_owned(),
                (false, _) => "not used".to_owned(),
            };
            return Check::ok("engine", format!("{name} {} answers{at}; {usage}", info.version));
        }
        Err(error) => error,
    };
    let level = match (client.tried, is_used || facts.used.is_none()) {
        (true, true) => Level::Problem,
        // cage tries the next client.
        (true, false) => Level::Warning,
        (false, _) => Level::Ok,
    };
    let mut check = Check::error("engine", level, error);
    if let (Some(Trouble::Unreachable), Some(kind)) = (client.trouble(), client.dialect()) {
        check.message = format!("no engine answers{at}");
        check.fix = Some(place::how_to_start(kind, facts.host.os, &client.endpoint).to_owned());
    }
    check.message = format!("{name}: {}", check.message);
    if let Some((other, _)) = facts.engine() {
        let _ = write!(check.message, "; cage uses {}", other.name);
    }
    let answering = facts.clients.iter().find(|other| other.info.is_ok() && level == Level::Problem);
    if let (Some(fix), Some(other)) = (&mut check.fix, answering) {
        let _ = write!(fix, "; or use the one that answers: `--runtime {0}`, CAGE_RUNTIME={0}", other.name);
    }
    check
}
