//! The rules for engines in virtual machines, on a real engine that claims to be in one: the product's socket for the
//! SSH agent belongs to root, and the project's IDs have no user in the image.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::lab::{Engine, World, run};
use super::yours::{Agent, owner};

const SOCKET: &str = "/run/host-services/ssh-auth.sock";

/// A link at the path of the products' socket, removed at the end.
struct ProductsSocket;

impl ProductsSocket {
    fn lead_to(agent: &Agent) -> Self {
        fs::create_dir_all(Path::new(SOCKET).parent().unwrap()).unwrap();
        symlink(&agent.socket, SOCKET).unwrap();
        chown(&agent.socket, Some(0), Some(0)).unwrap();
        fs::set_permissions(&agent.socket, fs::Permissions::from_mode(0o660)).unwrap();
        Self
    }
}

impl Drop for ProductsSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(SOCKET);
        let _ = fs::remove_dir(Path::new(SOCKET).parent().unwrap());
    }
}

#[test]
fn files_and_agent_are_the_persons() {
    run(Engine::GroupDocker, false, |world| {
        let docker = docker_in_a_machine(world);
        let agent = Agent::start(world, "my-key");
        // Through another path, as in the products: the path in the user's variable can't be mounted there.
        let cage =
            |words: &str| world.cage(words).env("CAGE_RUNTIME", &docker).env("SSH_AUTH_SOCK", "/nowhere");

        // A cage starts without the product's socket.
        let start = cage("start -d")
            .ok()
            .says("the engine can't mount your SSH agent's socket; continuing without it");
        start.says("did an agent run when the engine started?");
        assert_ne!(cage("run -- ssh-add -l").run().code, 0);

        let _socket = ProductsSocket::lead_to(&agent);
        cage("restart").ok().says_not("agent");
        assert!(cage("run -- ssh-add -l").ok().out.contains(&agent.key));
        // The product creates it again when the machine starts.
        cage("stop").ok();
        fs::set_permissions(&agent.socket, fs::Permissions::from_mode(0o660)).unwrap();
        let closed = world.engine(&format!(
            "run --rm --volume {SOCKET}:/agent --env SSH_AUTH_SOCK=/agent cage-lab ssh-add -l"
        ));
        assert_ne!(closed.run().code, 0, "the control: the image's user may not open it");
        cage("start -d").ok();
        assert!(cage("run -- ssh-add -l").ok().out.contains(&agent.key));

        cage("run -- sh -c 'touch made; test -O made && test -O ~'").ok();
        assert_eq!(owner(&world.project.join("made")), owner(&world.project));
        // If the image's user can write it, nothing is changed.
        cage("rm").ok();
        fs::set_permissions(&world.project, fs::Permissions::from_mode(0o777)).unwrap();
        cage("run -- touch open").ok();
        assert_eq!(fs::metadata(world.project.join("open")).unwrap().uid(), 501);
    });
}

#[test]
fn a_project_of_a_group_can_be_written_by_those_in_it() {
    run(Engine::GroupDocker, false, |world| {
        // A supplementary group of the lab's user, on Debian `users`.
        let group = 100;
        chown(&world.project, Some(0), Some(group)).unwrap();
        fs::set_permissions(&world.project, fs::Permissions::from_mode(0o2770)).unwrap();
        let user = owner(&world.home).0;
        let own = format!(
            "run --rm --user {user} --volume {0}:{0} cage-lab touch {0}/never",
            world.project.display()
        );
        assert_ne!(world.engine(&own).run().code, 0, "the control: the user alone may not");
        world.cage("run -- touch made").ok();
        assert_eq!(owner(&world.project.join("made")), (user, group));
    });
}

/// Installs a docker client whose engine claims to be Docker Desktop.
fn docker_in_a_machine(world: &World) -> String {
    let path = world.home.join("bin/docker");
    let info = r#"{"OperatingSystem": "Docker Desktop", "Name": "docker-desktop"}"#;
    let script = format!(
        "#!/bin/sh\nPATH={}\n[ \"$1\" != info ] || {{ echo '{info}'; exit; }}\nexec docker \"$@\"\n",
        super::lab::PATH
    );
    world.program(&path, &script);
    path.display().to_string()
}
