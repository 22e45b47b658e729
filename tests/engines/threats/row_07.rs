//! Row 7: a container that is no cage has a cage's name.

use crate::lab::World;

on_each_engine!(a_stranger_with_the_cages_name_is_left_alone);

/// 19
fn a_stranger_with_the_cages_name_is_left_alone(world: &World) {
    let name = world.name();
    world.will_remove_container(&name);
    let label = world.label();
    for stranger in [String::new(), format!("--label {label}=/elsewhere"), format!("--label {label}")] {
        let id = world.engine(&format!("create {stranger} --name {name} cage-lab sleep 60")).ok().out;
        let by_name = ["stop", "rm", "shell", "status"].map(|command| format!("{command} {name}"));
        let commands = ["start", "stop", "rm", "restart", "shell", "status"].map(str::to_owned);
        for command in commands.iter().chain(&by_name) {
            world.cage(command).exits(1).says(&format!("error: container {name} ")).says("hint: ");
        }
        world.cage("run true").exits(125).says(&format!("error: container {name} "));
        world.cage("rmconfig --yes").ok();
        world.cage("obliterate --yes").ok().says("No cage containers to remove");
        let list = world.cage("list").ok().out;
        assert!(!list.contains(&name), "{list}");
        let now = world.inspect_container(&name, "{{.Id}} {{.State.Status}}");
        assert_eq!(now, format!("{} created", id.trim()));
        // The control: by its name alone it can be started and removed.
        world.engine(&format!("start {name}")).ok();
        world.removal(&name).ok();
    }
}
