//! What users see on a terminal: the rows of a terminal emulator, so that a line that is wrapped shows as two.

use std::fs;
use std::io::Read as _;
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rexpect::process::PtyProcess;

use super::machine::{Cage, Machine, Speaks};

/// Runs `cage` with these arguments on a terminal, and returns the rows of its screen.
pub fn screen(machine: &Machine, columns: u16, args: &str) -> String {
    let mut shell = machine.command("/bin/sh");
    let line = format!("/bin/stty rows 400 cols {columns}; {} {args}", env!("CARGO_BIN_EXE_cage"));
    shell.args(["-c", &line]).env("TERM", "xterm").stdin(Stdio::inherit());
    let process = PtyProcess::new(shell).unwrap();
    let mut shown = Vec::new();
    // The end of a terminal is an error.
    let _ = process.get_file_handle().unwrap().read_to_end(&mut shown);
    let mut parser = vt100::Parser::new(NonZeroU16::new(400).unwrap(), NonZeroU16::new(columns).unwrap(), 0);
    parser.process(&shown);
    let rows: Vec<String> = parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n").trim_end().to_owned()
}

/// Adds a cage for a project in the home, in a state since some minutes.
fn add(machine: &Machine, path: &str, status: &str, minutes: u64) -> Cage {
    let project = machine.home().join(path);
    if !path.starts_with("gone/") {
        fs::create_dir_all(&project).unwrap();
    }
    let since = Duration::from_secs(minutes * 60);
    let cage = Cage { status: status.into(), since, ..Cage::of(&project) };
    machine.engine().add(&cage);
    cage
}

/// Returns a machine with six cages, one of them of the current directory, whose cages have names that don't depend on the run.
fn six() -> (Machine, Vec<Cage>) {
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    let work = "src/customers/a-company-with-a-long-name/products/web/frontend";
    let mut cages = vec![
        add(&machine, "src/docs", "running", 3),
        add(&machine, "src/app", "exited", 130),
        add(&machine, work, "running", 60 * 30),
        add(&machine, "src/ideas", "paused", 1),
        add(&machine, "gone/to/another/disk", "exited", 60 * 24 * 9),
        add(&machine, "src/old", "exited", 60 * 24 * 400),
    ];
    cages[0].options = "-p 127.0.0.1:3000:3000";
    machine.engine().add(&cages[0]);
    machine.project = machine.home().join("src/docs");
    machine.engine().tell_cages(&cages);
    (machine, cages)
}

/// Returns a screen without what differs from run to run.
fn stable(shown: &str, cages: &[Cage]) -> String {
    cages.iter().fold(shown.to_owned(), |shown, cage| {
        let (name, hash) = cage.name.rsplit_once('-').unwrap();
        shown.replace(hash, "01234567").replace(&cage.name, &format!("{name}-01234567"))
    })
}

#[test]
fn list_fits_every_terminal() {
    let (machine, cages) = six();
    for (columns, rows) in [(80, 7), (120, 7), (200, 7)] {
        let shown = stable(&screen(&machine, columns, "list"), &cages);
        assert_eq!(shown.lines().count(), rows, "{columns}: {shown}");
        if columns == 80 {
            insta::assert_snapshot!(shown, @"
              PROJECT                            STATE         PORTS  NAME
              ~/src/cus…e/products/web/frontend  running 30h          cage-frontend-01234567
            * ~/src/docs                         running 3m    3000   cage-docs-01234567
              ~/src/ideas                        paused 1m            cage-ideas-01234567
              ~/gone/to…r/disk (directory gone)  stopped 9d           cage-disk-01234567
              ~/src/app                          stopped 2h           cage-app-01234567
              ~/src/old                          stopped 400d         cage-old-01234567
            ");
        }
        if columns == 120 {
            insta::assert_snapshot!(shown, @"
              PROJECT                                STATE         PORTS  IMAGE                               NAME
              ~/src/cust…name/products/web/frontend  running 30h          ghcr.io/pac…vcontainer-lite:latest  cage-frontend-01234567
            * ~/src/docs                             running 3m    3000   ghcr.io/pac…vcontainer-lite:latest  cage-docs-01234567
              ~/src/ideas                            paused 1m            ghcr.io/pac…vcontainer-lite:latest  cage-ideas-01234567
              ~/gone/to/…ther/disk (directory gone)  stopped 9d           ghcr.io/pac…vcontainer-lite:latest  cage-disk-01234567
              ~/src/app                              stopped 2h           ghcr.io/pac…vcontainer-lite:latest  cage-app-01234567
              ~/src/old                              stopped 400d         ghcr.io/pac…vcontainer-lite:latest  cage-old-01234567
            ");
        }
    }
    let shown = screen(&machine, 40, "ls");
    assert_eq!(shown.lines().count(), 7, "{shown}");
}

#[test]
fn list_of_none_one_and_three_hundred() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    assert_eq!(screen(&machine, 80, "list"), "cage: no cages yet: run `cage start` in a project");
    let cages: Vec<Cage> =
        (0..300).map(|number| add(&machine, &format!("src/p{number}"), "exited", number)).collect();
    for count in [1, 300] {
        machine.engine().tell_cages(&cages[..count]);
        let shown = screen(&machine, 80, "list");
        assert_eq!(shown.lines().count(), count + 1, "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.contains("~/src/p") && line.contains("  stopped ")));
        assert!(Path::new(&machine.project).exists() && !shown.contains('*'), "{shown}");
    }
}

#[test]
fn a_known_failure_is_one_line_and_verbose_has_the_engines_words() {
    let machine = Machine::in_story(Speaks::Docker, "none, start fails");
    let outcome = machine.cage("start");
    let line = "error: port 127.0.0.1:3000 is taken\nhint: ";
    assert!(outcome.stderr.contains(line) && !outcome.stderr.contains("driver failed"), "{}", outcome.stderr);
    let outcome = machine.cage("--verbose start");
    assert!(outcome.stderr.contains("driver failed programming"), "{}", outcome.stderr);
    machine.engine().is_down();
    let outcome = machine.cage("start");
    assert_eq!(outcome.stderr.lines().count(), 2, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("error: Docker is not running."), "{}", outcome.stderr);
    assert!(machine.cage("--verbose start").stderr.contains("Cannot connect to the Docker daemon at"));
    let mut machine = machine;
    machine.env.push(("DOCKER_HOST", "nosuch".into()));
    let words = "error during connect: Get \"http://nosuch:2375/x\": dial tcp: lookup nosuch: no such host";
    machine.engine().answer("inspect", 1, words, "[]\n");
    machine.engine().answer("ps", 1, words, "");
    let outcome = machine.cage("start");
    let words =
        "error: docker does not answer: dial tcp: lookup nosuch: no such host\nhint: start it, or check its";
    assert!(outcome.stderr.starts_with(words), "{}", outcome.stderr);
}

#[test]
fn the_first_screens_fit_eighty_columns() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let shown = |args: &str| machine.anonymous(&screen(&machine, 80, args));
    insta::assert_snapshot!(shown("start -d"), @"
    cage: Pulling IMAGE
    cage: Creating NAME
    cage: no SSH agent is running here: git over SSH will fail in this cage
    NAME
    ");
    let first = Machine::in_story(Speaks::Docker, "none, no home");
    insta::assert_snapshot!(first.anonymous(&screen(&first, 80, "start -d")), @"
    cage: Pulling IMAGE
    cage: Creating NAME
    cage: welcome! This cage can see this project and little else of your machine
          unless you add it
    cage:   agent:   `cage run claude --dangerously-skip-permissions`
    cage:   log in:  once, as `cage help run` describes: all cages share the home
    cage:   home:    /home/vscode in volume cage-home, shared by all cages
    cage:   reset:   `cage restart` gives a clean box; project and home stay
    cage:   promise: `cage help start`, and SECURITY.md in cage's repository
    cage: no SSH agent is running here: git over SSH will fail in this cage
    NAME
    ");
    insta::assert_snapshot!(shown(""), @"
    Run coding agents in a container that sees this project and little else
    Usage: cage [OPTIONS] [COMMAND]

    Work:
      run              Run an agent or a command in the cage: cage run claude
      start            Create this project's cage and enter it, or re-attach
      shell            Open another shell in the running cage
      forward          Reach ports inside the running cage at 127.0.0.1
      stop, restart    Stop the cage; replace it with a clean one
    Look:
      status           Show this project's cage, and who is in it
      list             List all cages
      check            List files in the project that your machine would run
      doctor           Check engine, image, home and SSH agent, and suggest fixes
    Clean up:
      rm, prune        Remove this cage; remove those whose project is gone
      rmconfig         Reset the home that all cages share
      obliterate       Remove all cages and the home
    Set up:
      update, upgrade  Pull the image; also replace a cage that has an older one
      completions, man Make your shell complete commands; write the manual
    `cage COMMAND -h` explains a command, `cage --help` files and variables
    ");
}

#[test]
fn messages_break_between_words() {
    for (words, args) in [
        ("none", "shell"),
        ("running", "start -d --no-ssh --memory 4g"),
        ("running", "start -d -- --network host"),
        ("stopped", "forward 0:3000"),
        ("running", "restart --network host -p 3000:3000"),
        ("running", "restart --image no/such/image --pull never"),
    ] {
        let machine = Machine::in_story(Speaks::Docker, words);
        let outcome = machine.cage(args);
        let plain = outcome.stderr + &outcome.stdout;
        let shown = screen(&machine, 80, args);
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&plain), "{args}: {shown}");
        // Words of the engine are indented by two blanks, the rest of a message by more.
        assert!(plain.lines().all(|line| !line.starts_with("   ")), "{plain}");
    }
    let machine = Machine::in_story(Speaks::Docker, "running");
    insta::assert_snapshot!(screen(&machine, 80, "restart --network host -p 3000:3000"), @"
    error: `-p 127.0.0.1:3000:3000` is not possible with `--network host`: the cage
           uses this machine's network, and its ports are open here already
    hint: leave one of them out (`cage restart --fresh` forgets kept ones);
          `cage forward` reaches ports without -p
    ");
}
