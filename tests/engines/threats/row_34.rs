//! Row 34: a program asks the terminal a question as it ends, and the answer is typed into the user's shell.

use crate::emulator::Emulator;
use crate::lab::World;

on_each_engine!(no_answer_of_the_terminal_reaches_the_shell);

fn no_answer_of_the_terminal_reaches_the_shell(world: &World) {
    world.cage("start -d").ok();
    // The first question is the one that cage itself asks at the end. The last string has no end.
    let ask = r"printf '\033[5n\033[c\033[6n\033]0;open'";
    let rest = r#"stty -icanon -echo min 0 time 20; echo ended; echo "rest=$(dd bs=99 count=1 2>/dev/null | od -An -c)=""#;
    // The answers come after the program, but after cage has broken off that string, too.
    let run =
        |command: String| Emulator::slow(world, &format!("{command} {ask}; {rest}"), &[], &["\x18", "ended"]);
    let mut control = run(format!("{} run --rm -it cage-lab", world.engine.program()));
    control.shows("033   [   0   n 033   [   ?");
    run("cage run --".to_owned()).has_on_screen("rest==");
}
