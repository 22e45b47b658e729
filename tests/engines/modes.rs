//! The terminal around a full-screen program: detach keys in every encoding, modes that are undone and set again, its size, its
//! variables, and the words at the end.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::common::eventually;
use crate::emulator::Emulator;
use crate::lab::{BUSYBOX_IMAGE, IMAGE, World};

on_each_engine!(
    clients:
    every_way_out_undoes_the_modes,
    the_keys_detach_in_every_encoding,
    a_program_gets_its_modes_back,
    another_program_gets_no_modes,
    an_unseen_prompt_gets_its_modes,
    every_terminal_gets_a_programs_modes,
    every_key_arrives_at_once,
    a_large_paste_arrives_whole,
    a_command_has_the_terminals_size_from_the_start,
    nothing_changes_from_the_background,
    a_program_gets_its_modes_back_after_cage_was_stopped,
    a_suspended_command_suspends_cage,
    a_suspended_command_can_be_ended,
    a_suspended_command_ends_unseen,
    a_suspended_command_goes_on_in_the_background,
    the_detach_keys_are_kept_from_a_command_once,
    a_message_leaves_the_screen_as_it_was,
    programs_know_the_terminal_and_the_encoding,
    variables_that_the_user_has_chosen_stay,
    a_session_that_ends_says_why,
    a_detached_agent_is_not_ended_without_a_question,
    keys_that_come_early_do_no_harm,
);

/// What coding agents set: both keyboard protocols, the alternate screen, the mouse, focus, pastes, colour scheme, a cursor.
pub const AGENT: &str = r"\033[>5u\033[?1049h\033[>7u\033[>4;2m\033[?1000h\033[?1002h\033[?1003h\033[?1006h\033[?1004h\033[?2004h\033[?2031h\033[?25l\033[6 q";

/// The modes afterwards, as the emulator shows them.
const AGENTS_MODES: &str = "alternate screen, hidden cursor, bracketed paste, mouse, mouse encoding, modify other keys, keyboard [5, 7], 1004, 2031";

/// Those of the shell in the image.
const PROMPTS_MODES: &str = "bracketed paste, application cursor, application keypad";

/// A shell that sets no modes itself.
pub const PLAIN_SHELL: &str = "exec env -i PATH=$PATH PS1='plain> ' sh";

/// Starts a cage with a shell that sets no modes.
fn start<'a>(world: &World, script: &str, terminal: &'a mut Option<Emulator>) -> &'a mut Emulator {
    let terminal = terminal.insert(Emulator::run(world, script, &[]));
    terminal.shows("project ").types(PLAIN_SHELL).shows("plain> ")
}

fn every_way_out_undoes_the_modes(world: &World) {
    for (way, shown) in [
        ("detach", "detached from cage-project-"),
        ("exit", "left cage-project-"),
        ("stop", "was stopped; `cage start`"),
        ("client killed", "detached from cage-project-"),
        ("terminated", "detached from cage-project-"),
    ] {
        world.cage("rm").run();
        let mut terminal = None;
        // Known by its directory from the commands of other tests.
        let command = format!("cage -C {} start", world.project.display());
        let terminal = start(world, &format!("exec {command}"), &mut terminal);
        terminal
            .types(&format!("printf '{AGENT}in'; echo side; read x; exit"))
            .shows("inside")
            .has_modes(AGENTS_MODES)
            .agrees_with_xterm();
        let pkill = |signal: &str, pattern: &str| {
            let status = Command::new("pkill").args([signal, "-f", pattern]).status().unwrap();
            assert!(status.success(), "{pattern}");
        };
        match way {
            "detach" => drop(terminal.sends("\x1b[92;5u")),
            "exit" => drop(terminal.sends("\r")),
            "stop" => drop(world.cage("stop").ok()),
            "client killed" => {
                let names = format!("({}|{})", world.name(), &world.container_id()[..12]);
                pkill("-KILL", &format!("(start|attach) .*--detach-keys .*{names}"));
            }
            _ => pkill("-TERM", &format!("^{command}$")),
        }
        terminal.shows(shown).agrees_with_xterm();
        assert_eq!(terminal.modes(), "", "{way}");
    }
}

fn the_keys_detach_in_every_encoding(world: &World) {
    let mut terminal = None;
    // What is typed before the keys is for the shell inside, even if all comes at once, as from afar.
    start(world, "cage start", &mut terminal).sends("touch typed\r\x1c").shows("code=0.");
    for keys in ["\x1b[92;5u", "\x1b[92;69u", "\x1b[92:124:92;133:1u", "\x1b[1098::92;5u", "\x1b[27;5;92~"] {
        let mut terminal = Emulator::run(world, "cage start", &[]);
        terminal.shows("Re-attaching").types("").shows("plain> ");
        // These are not the keys, or text.
        terminal.sends("\x1b[92;5:3u\x1b[92;6u\x1b[124;5u\x1b[39::92;5u\x1b[200~\x1c\x1b[201~\x15");
        terminal.types("rm typed && echo ta\"\"lk").shows("talk");
        // What is typed after the keys is for the shell outside.
        terminal.types(&format!("touch typed\r{keys}touch injected")).shows("detached from").shows("code=0.");
    }
    assert!(!world.project.join("injected").exists());
    let mut terminal = Emulator::run(world, "cage start", &[("CAGE_DETACH_KEYS", "ctrl-p,ctrl-q")]);
    terminal
        .shows("Re-attaching")
        .types("")
        .shows("plain> ")
        .sends("\x1b[112;5u\x1b[112;5:3u\x1b[113;5u")
        .shows("code=0.");
}

fn a_program_gets_its_modes_back(world: &World) {
    let mut terminal = None;
    let terminal = start(world, "cage start", &mut terminal);
    terminal
        .types(&format!("stty -icanon -echo; printf '{AGENT}in'; echo side; exec cat -v"))
        .shows("inside");
    terminal.sends("\x1c").shows("code=0.");
    assert_eq!(terminal.modes(), "");

    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.has_modes(AGENTS_MODES).pastes("one\ntwo").shows("^[[200~one").shows("two^[[201~");
    terminal.sends("\x1b[92;5u").shows("code=0.");
    assert_eq!(terminal.modes(), "");

    // Ctrl-Z suspends also a program without a shell.
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.has_modes(AGENTS_MODES).sends("\x1a");
    std::thread::sleep(Duration::from_secs(1));
    terminal.sends("\x1b[92;5u").shows("code=0.");
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.has_modes(AGENTS_MODES).types("typed").shows("typed").sends("\x1b[92;5u").shows("code=0.");
    // Agents undo their modes before they are suspended.
    world.cage("restart --yes -d").ok();
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.shows("project ").types("exec sh -c 'stty -echo; echo re\"\"ady; exec cat'").shows("ready");
    std::thread::sleep(Duration::from_secs(2));
    terminal.sends("\x1a\x1c").shows("code=0.");
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.shows("Re-attaching");
    std::thread::sleep(Duration::from_secs(2));
    terminal.types("typed").shows("typed").sends("\x1c").shows("code=0.");

    // Not those of another run of the cage.
    world.cage("stop").ok();
    world.cage("run true").ok();
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.shows("Re-attaching").types(PLAIN_SHELL).shows("plain> ");
    assert_eq!(terminal.modes(), "");
    terminal.closes();
}

fn another_program_gets_no_modes(world: &World) {
    let mut terminal = None;
    let terminal = start(world, "cage start", &mut terminal);
    terminal.types(&format!("printf '{AGENT}in'; echo side; sleep 3")).shows("inside");
    terminal.sends("\x1c").shows("code=0.");
    std::thread::sleep(Duration::from_secs(4));
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.shows("Re-attaching").types("").shows("plain> ");
    assert_eq!(terminal.modes(), "");
    terminal.closes();
}

/// Nobody was attached when the shell set them.
fn an_unseen_prompt_gets_its_modes(world: &World) {
    let pastes = |terminal: &mut Emulator| {
        terminal.has_modes(PROMPTS_MODES).pastes("echo o\"\"ne\necho t\"\"wo").shows("wo");
        let shown = terminal.shown_within(Duration::from_secs(1));
        assert!(!shown.contains("one"), "{shown}");
        terminal.types("").shows("one").shows("two");
    };
    let mut terminal = Emulator::run(world, "cage start", &[]);
    terminal.shows("project ").has_modes(PROMPTS_MODES);
    // Modes are kept each second.
    std::thread::sleep(Duration::from_secs(3));
    // A program ends.
    terminal
        .types(&format!("printf '{AGENT}in'; echo side; sleep 2"))
        .shows("inside")
        .sends("\x1c")
        .shows("code=0.");
    std::thread::sleep(Duration::from_secs(3));
    pastes(Emulator::run(world, "cage start", &[]).shows("Re-attaching"));
    let mut terminal = Emulator::run(world, "cage restart", &[]);
    pastes(terminal.shows("Creating"));
    terminal.sends("\x1c").shows("code=0.");
    world.cage("restart -d").ok();
    pastes(Emulator::run(world, "cage start", &[]).shows("Re-attaching"));

    // Another shell may not know pastes, and a program sets its own.
    for command in ["exec sh", "sleep 1000"] {
        world.cage("restart -d").ok();
        let mut terminal = Emulator::run(world, "cage start", &[]);
        terminal.shows("Re-attaching").has_modes(PROMPTS_MODES).types(command);
        terminal.has_modes("").sends("\x1c").shows("code=0.");
        let mut terminal = Emulator::run(world, "cage start", &[]);
        terminal.shows("Re-attaching");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(terminal.modes(), "", "{command}");
        terminal.closes();
    }
}

fn every_terminal_gets_a_programs_modes(world: &World) {
    let mut terminal = None;
    let first = start(world, "cage start", &mut terminal);
    first.types(&format!("stty -icanon -echo; printf '{AGENT}in'; echo side; exec cat -v")).shows("inside");
    // They are kept each second.
    std::thread::sleep(Duration::from_secs(3));
    let command = format!("cage -C {} start", world.project.display());
    let mut second = Emulator::run(world, &format!("exec {command}"), &[]);
    second.has_modes(AGENTS_MODES);
    first.sends("\x1c").shows("code=0.");
    let killed = Command::new("pkill").args(["-KILL", "-f", &format!("^{command}$")]).status().unwrap();
    assert!(killed.success());
    for _ in 0..2 {
        let mut terminal = Emulator::run(world, "cage start", &[]);
        terminal.has_modes(AGENTS_MODES).sends("\x1b[92;5u").shows("code=0.");
        assert_eq!(terminal.modes(), "");
    }
}

fn every_key_arrives_at_once(world: &World) {
    let mut terminal = None;
    let terminal = start(world, "cage start", &mut terminal);
    for byte in (1_u8..=0x1f).filter(|byte| *byte != 0x1c) {
        terminal.types("stty raw -echo; echo rea\"\"dy; head -c1 | od -An -to1; stty sane").shows("ready");
        terminal
            .sends(char::from(byte).encode_utf8(&mut [0]))
            .shows(&format!(" {byte:03o}"))
            .shows("plain> ");
    }
}

fn a_large_paste_arrives_whole(world: &World) {
    world.cage("start -d").ok();
    // It draws more than it reads, and reads nothing meanwhile.
    let program = r#"$| = 1; print "ready"; while (sysread STDIN, $in, 500) { $all += length $in; print "." x 4000; last if $in =~ /END/ } print "read $all""#;
    world.write(&world.project.join("draws"), program);
    let mut terminal = Emulator::run(world, "cage run -- sh -c 'stty raw -echo; exec perl draws'", &[]);
    let text = "x".repeat(70_000) + "END";
    terminal.shows("ready").sends(&text).shows(&format!("read {}", text.len()));
}

fn a_command_has_the_terminals_size_from_the_start(world: &World) {
    world.cage("start -d").ok();
    for _ in 0..5 {
        Emulator::run(world, "cage run -- stty size", &[]).shows("24 80").shows("code=0.");
    }
}

fn the_detach_keys_are_kept_from_a_command_once(world: &World) {
    world.cage("start -d").ok();
    let program = "sh -c 'stty raw -echo; echo rea\"\"dy; exec cat -v'";
    let run = format!("cage run -- {program}");
    for (command, typed, key) in
        [(run.as_str(), "", "\x1c"), (&run, "", "\x1b[92;5u"), ("cage shell", program, "\x1c")]
    {
        let mut terminal = Emulator::run(world, command, &[]);
        if !typed.is_empty() {
            terminal.shows("project ").types(typed);
        }
        terminal.shows("ready").sends("a").shows("a").sends(key);
        terminal.shows("cage: Ctrl-\\ again sends it to the program; only `cage start` detaches");
        // Another key in between makes it the first press again.
        terminal.sends("b").shows("b").sends(key).shows("again sends it");
        // A key that is held down.
        terminal.sends(key).sends(key).sends("#").shows("#");
        terminal.sends(key).shows("again sends it");
        std::thread::sleep(Duration::from_secs(1));
        terminal.sends(key);
        terminal.shows(if key == "\x1c" { "^\\" } else { "^[[92;5u" });
        terminal.closes();
    }
}

fn nothing_changes_from_the_background(world: &World) {
    let mut terminal = None;
    let terminal = start(world, "cage start", &mut terminal);
    terminal
        .types(&format!("stty -icanon -echo; printf '{AGENT}in'; echo side; exec cat -v"))
        .shows("inside");
    terminal.sends("\x1c").shows("code=0.");

    let script = "set -m; cage start & sleep 5; echo still outside; sleep 2; fg";
    let mut terminal = Emulator::run(world, script, &[]);
    terminal.shows("Re-attaching").shows("still outside");
    assert_eq!(terminal.modes(), "");
    terminal.has_modes(AGENTS_MODES).sends("\x1c").shows("code=0.");
    assert_eq!(terminal.modes(), "");
}

fn a_program_gets_its_modes_back_after_cage_was_stopped(world: &World) {
    // The user's shell turns on a mode at its prompt, and off for the next command.
    let prompt = r"printf '\033[?2004hat the prom'; echo pt; read x; printf '\033[?2004l'; fg";
    let command = format!("cage -C {} start", world.project.display());
    let mut terminal = None;
    let terminal = start(world, &format!("set -m; {command}; {prompt}; {prompt}"), &mut terminal);
    terminal.types(&format!(
        "sh -c 'draw() {{ printf \"\\033[2Jdra\"; echo wn; }}; trap draw WINCH; printf \"{AGENT}in\"; echo side; \
         while :; do sleep 0.1; done'"
    ));
    terminal.shows("inside").has_modes(AGENTS_MODES);
    // cage cannot undo anything before SIGSTOP, and the terminal stays raw: Enter would not end a line.
    for (signal, modes) in [("-TSTP", "bracketed paste"), ("-STOP", AGENTS_MODES)] {
        let status = Command::new("pkill").args([signal, "-f", &format!("^{command}$")]).status().unwrap();
        assert!(status.success());
        terminal.shows("at the prompt").has_modes(modes);
        terminal.sends("\n").shows("drawn").has_modes(AGENTS_MODES);
    }
    terminal.sends("\x1b[92;5u").shows("detached from cage-project-").shows("code=0.");
    assert_eq!(terminal.modes(), "");
}

fn a_suspended_command_suspends_cage(world: &World) {
    let start = |image: &str| drop(world.cage("start -d").env("CAGE_IMAGE", image).ok());
    for shell in ["dash", "bash", "busybox"] {
        match shell {
            "dash" => start(IMAGE),
            "bash" => drop(world.cage("run -u root -- ln -sf bash /bin/sh").ok()),
            _ => {
                world.cage("rm").ok();
                start(BUSYBOX_IMAGE);
            }
        }
        // One that the terminal suspends, again before it has gone on, and one that suspends itself in a raw terminal. They undo
        // nothing.
        let suspends_itself =
            "stty raw -echo; head -c1 >/dev/null; kill -TSTP 0; stty -raw echo; printf ba; echo ck; read x";
        for (waits, keys, then) in
            [("read x", &["\x1a", "\x1a"][..], ""), (suspends_itself, &["z"][..], "back")]
        {
            let program = format!("printf \"{AGENT}in\"; echo side; {waits}; echo got $x; exit 7");
            let prompts = "; echo at the prompt; read x; fg".repeat(keys.len());
            let mut terminal =
                Emulator::run(world, &format!("set -m; cage run -- sh -c '{program}'{prompts}"), &[]);
            terminal.shows("inside");
            for key in keys {
                terminal.sends(key).shows("at the prompt").has_modes("");
                terminal.sends("\n").has_modes(AGENTS_MODES);
            }
            terminal.shows(then).types("word").shows("got word").shows("code=7.");
            assert_eq!(terminal.modes(), "", "{shell} {waits}");
        }
        // What the terminal answers is not typed into the user's shell.
        let asks =
            r#"i=0; while [ $i -lt 50 ]; do printf "\033[c\033[6n"; i=$((i+1)); done; kill -STOP $$; exit 7"#;
        let script = format!(
            "set -m; cage run -- sh -c '{asks}'; echo out\"\"side; stty -icanon min 0 time 5; cat -v; echo at the end; fg"
        );
        let mut terminal = Emulator::run(world, &script, &[]);
        let typed = terminal.shows("outside").shown_until("at the end");
        assert!(!typed.contains("[?62;22c") && !typed.contains(";1R"), "{typed:?}");
        terminal.shows("code=7.");
        // Where no shell could continue cage, the command goes on.
        let script = "cage run -- sh -c 'echo inside; kill -STOP $$; exit 7'";
        Emulator::run(world, script, &[]).shows("inside").shows("code=7.");
    }
}

fn a_suspended_command_can_be_ended(world: &World) {
    world.cage("start -d").ok();
    let program = "trap \"exit 9\" TERM; echo inside; exec 8<&0; while :; do read x <&8; done";
    let cage = format!("set -m; cage run -- sh -c '{program}'; echo at the prompt");
    let mut terminal = Emulator::run(world, &format!("{cage}; kill %1; fg"), &[]);
    terminal.shows("inside").sends("\x1a").shows("at the prompt").shows("code=9.");
    let mut terminal = Emulator::run(world, &format!("{cage}; read x"), &[]);
    terminal.shows("inside").sends("\x1a").shows("at the prompt");
    let is_there = || world.inside("cat /proc/*/cmdline | grep -qa 'exec 8<&[0]'").run().code == 0;
    assert!(is_there());
    terminal.closes();
    eventually("the command has ended", || !is_there());
}

fn a_suspended_command_ends_unseen(world: &World) {
    world.cage("start -d").ok();
    let program = format!(
        "draws() {{ printf \"{AGENT}\\033[6nin\"; echo side; }}; trap \"draws; exit 9\" TERM HUP; \
         stty -echo; draws; exec 8<&0; while :; do read x <&8; done"
    );
    // After a hangup nobody waits for the command's code.
    for (signal, code) in [("TERM", 9), ("HUP", 129)] {
        let script = format!(
            "set -m; cage run -- sh -c '{program}'; echo at the prompt; stty -icanon -echo min 0 time 5; \
             kill -{signal} %1; kill -CONT %1; while kill -0 %1 2>/dev/null; do sleep 0.1; done; wait %1; \
             echo got $?; cat -v; echo at the end"
        );
        let mut terminal = Emulator::run(world, &script, &[]);
        terminal.shows("inside").has_modes(AGENTS_MODES).sends("\x1a").shows("at the prompt").has_modes("");
        let shown = terminal.shown_until("at the end");
        let is_unseen = shown.contains(&format!("got {code}\r\n"))
            && !shown.contains('\x1b')
            && !shown.contains("inside");
        // Nor is there an answer to a question.
        assert!(is_unseen && !shown.contains('^'), "{shown:?}");
        assert_eq!(terminal.modes(), "");
    }
}

fn a_suspended_command_goes_on_in_the_background(world: &World) {
    world.cage("start -d").ok();
    let suspended = |then: &str, script: &str| {
        let _ = fs::remove_file(world.project.join("go"));
        let waits = "echo inside; until [ -e go ]; do sleep 0.1; done";
        let run = format!("cage run -- sh -c '{waits}; {then}; exit 7'");
        let mut terminal =
            Emulator::run(world, &format!("set -m; {run}; echo at the prompt; bg; {script}"), &[]);
        terminal.shows("inside").sends("\x1a").shows("at the prompt");
        fs::write(world.project.join("go"), "").unwrap();
        terminal
    };
    let mut terminal = suspended("echo went on; read x; echo got $x", "read x; echo for the shell: $x.; fg");
    terminal.shows("went on").types("one").shows("for the shell: one.");
    terminal.types("two").shows("got two").shows("code=7.");
    suspended("echo went on", "wait %1").shows("went on").shows("code=7.");
    // One that needs the screen is stopped.
    let stopped = "until jobs >/tmp/jobs.$$; grep -qi stopped /tmp/jobs.$$; do sleep 0.1; done";
    let draws = format!("printf \"{AGENT}\"; echo drawn; read x");
    let mut terminal = suspended(&draws, &format!("{stopped}; rm /tmp/jobs.$$; echo it waits; read x; fg"));
    terminal.shows("it waits").has_modes("").sends("\n").has_modes(AGENTS_MODES).sends("\n").shows("code=7.");
    assert_eq!(terminal.modes(), "");
}

fn a_message_leaves_the_screen_as_it_was(world: &World) {
    world.cage("start -d").ok();
    // It draws over what was there without erasing it, and input is shown at the cursor.
    let program = "draw() { printf \"\\033[H1st line\\033[$(stty size | cut -d\\  -f1);1Hlast line\\033[5;1Hinput:\"; }; \
                   printf \"\\033[?$0\\033[2J\"; trap draw WINCH; draw; while :; do sleep 0.1; done";
    let message = "cage: Ctrl-\\ again sends it to the program; only `cage start` detaches";
    // Also a program that hides the cursor on the main screen.
    for mode in ["1049h", "25l"] {
        let mut terminal = Emulator::run(world, &format!("cage run -- sh -c '{program}' {mode}"), &[]);
        terminal.has_on_screen("1st line").has_on_screen("last line").sends("\x1c");
        terminal.has_on_screen(message).sends("typed").has_on_screen("input:typed");
        std::thread::sleep(Duration::from_secs(1));
        terminal.has_on_screen(message);
        terminal.has_on_screen("last line").has_on_screen("1st line");
        assert!(terminal.screen().ends_with("\nlast line"), "{}", terminal.screen());
        terminal.closes();
    }
    // It never takes two lines.
    let mut terminal =
        Emulator::run(world, "stty cols 40; cage run -- sh -c 'stty raw; echo ready; cat -v'", &[]);
    terminal.shows("ready").sends("\x1c").shows(&format!("\r\n{}\r\n", &message[..40]));
    terminal.closes();
}

fn programs_know_the_terminal_and_the_encoding(world: &World) {
    let variables = [("TERM", "xterm-ghostty"), ("COLORTERM", "truecolor"), ("TERM_PROGRAM", "ghostty")];
    let ask = "echo \"is $TERM $COLORTERM $TERM_PROGRAM $LANG.\"";
    let mut terminal = Emulator::run(world, "cage start", &variables);
    terminal.shows("project ").types(ask).shows("is xterm-256color truecolor ghostty C.UTF-8.");
    // Backspace works, and characters are whole.
    terminal.types("echo xx\x7f\x7fä€z | wc -m").shows("4\r\n").sends("\x1c").shows("code=0.");
    let mut terminal =
        Emulator::run(world, "cage run -- sh -c 'echo is $TERM$TERM_PROGRAM.'", &[("TERM", "screen")]);
    terminal.shows("is screen.").shows("code=0.");
    for unset in ["env -u TERM", "env TERM="] {
        let run = format!("{unset} cage run -- sh -c 'echo is $TERM.'");
        Emulator::run(world, &run, &[]).shows("is xterm-256color.").shows("code=0.");
    }
    // Without a terminal there is none to describe.
    world.cage("run -- sh -c 'echo is $TERM$COLORTERM$TERM_PROGRAM.'").ok().prints("is .\n");
    world.cage("run -e TERM=dumb -- sh -c 'echo is $TERM.'").ok().prints("is dumb.\n");
}

fn variables_that_the_user_has_chosen_stay(world: &World) {
    world.cage("start -d -e TERM=vt220 -e COLORTERM=mine").ok();
    let here = [("TERM", "xterm"), ("COLORTERM", "truecolor"), ("TERM_PROGRAM", "ghostty")];
    let ask = "-- sh -c 'echo is $TERM $COLORTERM $TERM_PROGRAM.'";
    Emulator::run(world, &format!("cage run {ask}"), &here).shows("is vt220 mine ghostty.");
    Emulator::run(world, &format!("cage run -e TERM=dumb {ask}"), &here).shows("is dumb mine ghostty.");
    world.cage(&format!("run {ask}")).ok().prints("is vt220 mine .\n");
}

fn a_session_that_ends_says_why(world: &World) {
    let mut first = None;
    let first = start(world, "cage start", &mut first);
    let mut second = Emulator::run(world, "cage shell", &[]);
    second.shows("project ");
    first
        .types("exit 3")
        .shows("left cage-project-")
        .shows(", which has stopped; another terminal ended")
        .shows("code=3.");
    second
        .shows("the first shell of cage-project-")
        .shows("has ended; `cage start` starts it")
        .shows("code=");

    let mut first = Emulator::run(world, "cage start", &[]);
    first.shows("project ");
    let mut second = Emulator::run(world, "cage shell", &[]);
    second.shows("project ");
    let status = world.cage("status").ok().out;
    let here = status.lines().find(|line| line.starts_with("In it: ")).unwrap_or_else(|| panic!("{status}"));
    assert!(here.contains("attached terminal (") && here.contains(", shell ("), "{status}");
    let mut third = Emulator::run(world, "cage restart -d", &[]);
    third.shows("2 commands are running in it: ").shows("Continue? [y/N] ").types("n").shows("code=1.");
    world.cage("stop").ok();
    first.shows("was stopped; `cage start` starts it again").shows("code=");
    second.shows("was stopped; `cage start` starts it again").shows("code=");

    let mut first = Emulator::run(world, "cage start", &[]);
    first.shows("project ");
    world.cage("restart -d").ok();
    first.shows("was restarted; `cage start` enters the new one").shows("code=");
}

fn a_detached_agent_is_not_ended_without_a_question(world: &World) {
    // A login shell that waits, one without a prompt of its own, and programs: in the shell, of a script, and a script itself.
    for (typed, program) in [
        ("", None),
        ("exec sh -i", None),
        ("sleep 123", Some("sleep (")),
        ("sleep 123 & sleep 0.2; kill -STOP $!", Some("sleep (")),
        ("sh -c 'echo star\"\"ted; sleep 123; true'", Some("sh (")),
        ("printf '#!/bin/sh\\nsleep 123; true\\n' >agent; chmod 755 agent; ./agent", Some("agent (")),
    ] {
        world.cage("rm").run();
        let mut terminal = Emulator::run(world, "cage start", &[]);
        terminal.shows("project ").types(typed);
        std::thread::sleep(Duration::from_secs(1));
        terminal.sends("\x1c").shows("code=0.");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let restart = format!("cage restart -d -p {}:80", taken.local_addr().unwrap().port());
        // No question, if the answer could not help.
        Emulator::run(world, &restart, &[]).shows(" is taken").shows("code=1.");
        for command in ["stop", "restart -d", "rm"] {
            let mut terminal = Emulator::run(world, &format!("cage {command}"), &[]);
            if let Some(program) = program {
                terminal.shows(&format!("1 command is running in it: {program}")).shows("Continue?");
                terminal.sends("n\r").shows("nothing was done").shows("code=1.");
                assert!(world.cage("status").ok().out.contains("running"));
            } else {
                terminal.shows("code=0.");
                break;
            }
        }
    }
}

fn keys_that_come_early_do_no_harm(world: &World) {
    for delay in [0, 20, 50, 100, 200, 400, 800] {
        // The shell outside doesn't mind.
        let mut terminal = Emulator::run(world, "trap : QUIT; cage start", &[]);
        terminal.shows("cage: ");
        std::thread::sleep(Duration::from_millis(delay));
        terminal.sends("\x1c").shows("code=");
        let shown = terminal.shown_within(Duration::from_millis(100));
        assert!(["0.", "1.", "131."].iter().any(|code| shown.starts_with(code)), "{delay}: {shown:?}");
        assert_eq!(terminal.modes(), "");
        world.cage("start -d").ok();
        world.cage("rm").ok();
    }
}
