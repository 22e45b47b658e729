//! The examples, used as their page says.

use std::fs;
use std::path::Path;

use super::lab::World;

on_each_engine!(clients: the_files_for_every_cage_and_a_project_work, a_cage_reaches_allowed_hosts_only);

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// Copies a directory of examples into the project, as in a clone.
fn copy(world: &World, dir: &str) {
    for entry in fs::read_dir(Path::new(EXAMPLES).join(dir)).unwrap().map(Result::unwrap) {
        let name = format!("{dir}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            copy(world, &name);
        } else {
            let text = fs::read_to_string(entry.path()).unwrap();
            world.write(&world.project.join("examples").join(name), &text);
        }
    }
}

/// Returns the commands below a heading of the page.
fn commands(heading: &str) -> String {
    let page = fs::read_to_string(format!("{EXAMPLES}/README.md")).unwrap();
    let section = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

fn the_files_for_every_cage_and_a_project_work(world: &World) {
    copy(world, "config");
    world.cage("start").ok();
    let lines = commands("Variables and files for every cage");
    let copying: Vec<&str> = lines.lines().filter(|line| !line.starts_with("cage ")).collect();
    world.call("sh", &["-ec".to_owned(), copying.join("\n")]).ok();
    let project = fs::read_to_string(format!("{EXAMPLES}/project/.cage.env")).unwrap();
    world.write(&world.project.join(".cage.env"), &project);
    let restart = world.cage("restart").env("ANTHROPIC_API_KEY", "not-a-key").ok();
    restart.says_not("warning").says_not("not-a-key");
    let variables = "echo $ANTHROPIC_API_KEY ${OPENAI_API_KEY-unset} $DISABLE_TELEMETRY $DATABASE_URL $DEBUG";
    let values = "not-a-key unset 1 postgres://postgres@host.docker.internal/shop 1\n";
    world.cage(&format!("run -- sh -c '{variables}'")).ok().prints(values);
    let settings = world.cage("run -- sh -c 'cat ~/.claude/settings.json'").ok().out;
    serde_json::from_str::<serde_json::Value>(&settings).expect(&settings);
    world.cage("run -- sh -c 'test -s ~/.codex/config.toml && touch ~/.codex/mine'").ok();
}

fn a_cage_reaches_allowed_hosts_only(world: &World) {
    copy(world, "egress");
    // A base with perl, as Debian's image. Each world has its own networks and proxy.
    let base = world.build("base", "ENTRYPOINT []");
    let file = world.project.join("examples/egress/Dockerfile");
    let text = fs::read_to_string(&file).unwrap();
    world.write(&file, &text.replace("docker.io/library/debian:12-slim", &base));
    let names = |text: &str| {
        let text = text
            .replace("cage-inside", &format!("{}-inside", world.id))
            .replace("cage-outside", &format!("{}-outside", world.id));
        text.replace("egress-proxy", &format!("{}-proxy", world.id))
    };
    let [proxy, outside, inside] = ["egress-proxy", "cage-outside", "cage-inside"].map(names);
    world.will_remove_image(&proxy);
    world.will_remove_container(&proxy);
    world.will_remove_networks(&[&inside, &outside]);
    world.cage("start").ok();
    for line in names(&commands("Cages that reach some hosts only")).lines() {
        match line.split_once(' ').unwrap() {
            ("docker", words) => world.engine(words).env("DOCKER_BUILDKIT", "0").ok(),
            ("cage", words) => world.cage(words).ok().says_not("warning"),
            _ => panic!("{line}"),
        };
    }

    // Two hosts outside, one of which is on the list. They answer each connection with a line.
    let server = format!("{}-server", world.id);
    world.will_remove_container(&server);
    let perl = "my $l = IO::Socket::IP->new(LocalPort => 443, Listen => 9) or die; while (my $c = $l->accept) { print $c qq(hello\\n) }";
    let aliases = "--network-alias api.anthropic.com --network-alias example.com";
    world.engine(&format!("run -d --name {server} --network {outside} {aliases} --user 0 --entrypoint perl {base} -MIO::Socket::IP -e '{perl}'")).ok();
    let address = format!("{{{{(index .NetworkSettings.Networks \"{outside}\").IPAddress}}}}");
    let address = world.inspect_container(&server, &address);

    let connect = |host: &str| format!("exec 3<>/dev/tcp/{host}/443; cat <&3");
    let through = |host: &str| {
        let script = format!(
            "proxy=${{HTTPS_PROXY#http://}}; exec 3<>/dev/tcp/${{proxy%:*}}/${{proxy#*:}}; printf \"CONNECT {host}:443 HTTP/1.1\\r\\n\\r\\n\" >&3; cat <&3"
        );
        world.cage(&format!("run -- bash -c '{script}'")).ok().out
    };
    let allowed = through("api.anthropic.com");
    assert!(allowed.starts_with("HTTP/1.1 200 ") && allowed.ends_with("hello\n"), "{allowed}");
    let refused = through("example.com");
    assert!(refused.starts_with("HTTP/1.1 403 ") && !refused.contains("hello"), "{refused}");
    assert!(world.engine(&format!("logs {proxy}")).ok().out.contains("refused: CONNECT example.com:443"));

    // Nothing goes past the proxy. The control: from the other network the same works.
    for host in ["example.com", &address] {
        let direct = world.cage(&format!("run -- timeout 5 bash -c '{}'", connect(host))).run();
        assert!(direct.code != 0 && !direct.out.contains("hello"), "{direct}");
        let control = format!("run --rm --network {outside} --entrypoint bash {base} -c '{}'", connect(host));
        world.engine(&control).ok().prints("hello\n");
    }
}
