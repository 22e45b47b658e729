//! Real coding agents at work: Claude Code and Codex, with a stand-in for their models.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::{Value, json};

use super::lab::{Engine, World, from_npm};
use super::yours::owner;
use crate::common::{absent, is_root};
use crate::emulator::Emulator;

on_each_engine!(everybody: an_agent_edits_the_project);

on_each_engine!(clients: claude_code_has_the_terminal, codex_has_the_terminal);

/// Settings that make Claude Code talk to the stand-in only.
const SETTINGS: &str = "-e ANTHROPIC_API_KEY=not-a-key -e DISABLE_AUTOUPDATER=1 -e DISABLE_TELEMETRY=1 \
                        -e CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1";

fn an_agent_edits_the_project(world: &World) {
    if matches!(world.engine, Engine::Docker | Engine::Podman) && is_root() {
        // In a project that belongs to root, files belong to root.
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    let person = owner(&world.project);
    let existing = world.project.join("existing");
    world.write(&existing, "before\n");
    chown(&existing, Some(person.0), Some(person.1)).unwrap();

    let tools = vec![
        json!({"name": "Write", "input": {"file_path": world.project.join("written"), "content": "new\n"}}),
        json!({"name": "Read", "input": {"file_path": existing}}),
        json!({"name": "Edit", "input": {"file_path": existing, "old_string": "before", "new_string": "after"}}),
        json!({"name": "Bash", "input": {"command": "tee piped <existing"}}),
    ];
    let uses = tools.len();
    let Some((_, results)) = start(world, "claude", tools) else { return };
    let claude = "claude --dangerously-skip-permissions -p 'Edit the project'";
    world.cage(&format!("run -- {claude}")).ok().prints("It is done.\n");

    let results: Vec<Value> = results.try_iter().collect();
    assert!(results.len() == uses && results.iter().all(|result| result["is_error"] != true), "{results:#?}");
    assert_eq!(results[uses - 1]["content"], "after");
    for (name, text) in [("written", "new\n"), ("existing", "after\n"), ("piped", "after\n")] {
        let path = world.project.join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
        assert_eq!(owner(&path), person, "{name}");
    }

    if world.engine == Engine::RootlessDocker {
        // The control: inside, it runs as root, which it accepts only in a sandbox, as cage declares.
        world.cage(&format!("run -- env -u IS_SANDBOX {claude}")).exits(1).says("cannot be used with root");
    }
}

fn claude_code_has_the_terminal(world: &World) {
    let Some(_) = start(world, "claude", Vec::new()) else { return };
    // The questions of the first start are answered in its settings.
    let answers = json!({
        "hasCompletedOnboarding": true,
        "bypassPermissionsModeAccepted": true,
        "customApiKeyResponses": {"approved": ["not-a-key"], "rejected": []},
        "projects": {world.project.to_str().unwrap(): {"hasTrustDialogAccepted": true}},
    });
    world.inside(&format!("cat >~/.claude.json <<'END'\n{answers}\nEND")).ok();
    let agent = FullScreen {
        command: "claude --dangerously-skip-permissions",
        prompt: "bypass permissions on",
        modes: "alternate screen, hidden cursor, bracketed paste, mouse, mouse encoding, \
                modify other keys, keyboard [5], 1004, 2031",
        interrupts: 3,
        farewell: "Resume this session",
    };
    agent.can_be_suspended(world);
    agent.keeps_running_after_detaching(world);
}

fn codex_has_the_terminal(world: &World) {
    let Some((url, _)) = start(world, "codex", Vec::new()) else { return };
    let project = world.project.display();
    // Codex can tell a paste from typing by its speed, which would hide that a terminal doesn't mark pastes.
    let config = format!(
        "model = 'a-model'\n\
         model_provider = 'stand-in'\n\
         check_for_update_on_startup = false\n\
         disable_paste_burst = true\n\
         analytics.enabled = false\n\
         model_providers.stand-in = {{ name = 'stand-in', base_url = '{url}/v1', wire_api = 'responses' }}\n\
         projects.'{project}'.trust_level = 'trusted'\n"
    );
    world.inside(&format!("mkdir ~/.codex && cat >~/.codex/config.toml <<'END'\n{config}\nEND")).ok();
    let agent = FullScreen {
        command: "codex --no-daemon --dangerously-bypass-approvals-and-sandbox",
        prompt: "Ask Codex to do anything",
        modes: "alternate screen, bracketed paste, mouse, mouse encoding, keyboard [7, 7], 1004",
        interrupts: 2,
        farewell: "To continue this session",
    };
    agent.can_be_suspended(world);
    agent.keeps_running_after_detaching(world);
}

/// An agent that uses the whole terminal.
struct FullScreen {
    command: &'static str,
    /// What it shows when it waits for a prompt.
    prompt: &'static str,
    /// The modes of the terminal that it turns on.
    modes: &'static str,
    /// How many Ctrl-C discard a prompt and end it.
    interrupts: usize,
    farewell: &'static str,
}

impl FullScreen {
    fn keeps_running_after_detaching(&self, world: &World) {
        let mut terminal = Emulator::run(world, "cage start", &[("TERM", "xterm-kitty")]);
        terminal.shows("project ").types(self.command);
        terminal.has_on_screen(self.prompt).sends("Say so.").has_on_screen("Say so.").sends("\r");
        terminal.has_on_screen("It is done.").has_modes(self.modes).agrees_with_xterm();
        terminal.sends("\x1b[92;5u").shows("detached from cage-project-").shows("code=0.");
        terminal.agrees_with_xterm();
        assert_eq!(terminal.modes(), "");

        let mut terminal = Emulator::run(world, "cage start", &[("TERM", "xterm-kitty")]);
        terminal.has_modes(self.modes).has_on_screen("It is done.").agrees_with_xterm();
        // A paste of two lines waits for Enter.
        terminal.pastes("first line\rsecond line").has_on_screen("first line\n  second line");
        terminal.sends(&"\x1b[99;5u".repeat(self.interrupts)).shows(self.farewell).shows("project ");
        terminal.types("exit").shows("left cage-project-").shows("code=0.");
        terminal.agrees_with_xterm();
        assert_eq!(terminal.modes(), "");
    }

    /// Ctrl-Z leaves an agent for the user's own shell.
    fn can_be_suspended(&self, world: &World) {
        let script = format!("set -m; cage run {}; echo at the prompt; read x; fg", self.command);
        let mut terminal = Emulator::run(world, &script, &[("TERM", "xterm-kitty")]);
        terminal.has_on_screen(self.prompt).has_modes(self.modes).sends("\x1b[122;5u");
        // The modes come from cage. The agent drops what is typed until it has drawn.
        terminal
            .shows("at the prompt")
            .has_modes("")
            .sends("\n")
            .has_modes(self.modes)
            .has_on_screen(self.prompt);
        terminal.sends("Say so.").has_on_screen("Say so.");
        terminal.sends(&"\x1b[99;5u".repeat(self.interrupts)).shows("code=0.");
        assert_eq!(terminal.modes(), "");
    }
}

/// Starts a cage with an agent that the lab has fetched, if any, and a stand-in for its model. Returns the stand-in's
/// address and the results of the tool calls that it requests.
fn start(world: &World, agent: &str, tools: Vec<Value>) -> Option<(String, Receiver<Value>)> {
    let Some(binary) = from_npm(agent) else {
        absent(world.engine, &format!("no {agent} to run"));
        return None;
    };
    let (port, results) = serve(tools);
    let url = format!("http://host.docker.internal:{port}");
    let volume = format!("{}:/usr/local/bin/{agent}:ro", binary.display());
    world.cage(&format!("start -d -v {volume} -e ANTHROPIC_BASE_URL={url} {SETTINGS}")).ok();
    Some((url, results))
}

/// Serves the models' APIs on a port of every address: requests one tool call after the other, and sends
/// the result of each to the test.
fn serve(tools: Vec<Value>) -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, results) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (tools, sender) = (tools.clone(), sender.clone());
            // A client may open a connection and send nothing.
            thread::spawn(move || answer(&stream.unwrap(), &tools, &sender));
        }
    });
    (port, results)
}

/// Answers one request.
fn answer(mut stream: &TcpStream, tools: &[Value], results: &Sender<Value>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;

    let path = head.strip_prefix("post ").and_then(|rest| rest.split([' ', '?']).next());
    let events = match path {
        Some("/v1/messages") => messages(&serde_json::from_slice(&body)?, tools, results),
        Some("/v1/responses") => response(),
        _ => Vec::new(),
    };
    let status = if events.is_empty() { "404 Not Found" } else { "200 OK" };
    let lines = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    let events = events.iter().map(lines).collect::<Vec<_>>().concat();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{events}",
        events.len()
    )
}

/// Returns the events of Codex's model that end its turn.
fn response() -> Vec<Value> {
    let content = json!([{"type": "output_text", "text": "It is done."}]);
    vec![
        json!({"type": "response.created", "response": {"id": "resp"}}),
        json!({
            "type": "response.output_item.done",
            "item": {"type": "message", "role": "assistant", "id": "msg", "content": content},
        }),
        json!({"type": "response.completed", "response": {"id": "resp"}}),
    ]
}

/// Returns the events of Claude's next message.
fn messages(request: &Value, tools: &[Value], results: &Sender<Value>) -> Vec<Value> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    // Every request contains the whole conversation.
    let mut parts = array(&request["messages"]).into_iter().flat_map(|message| array(&message["content"]));
    let known: Vec<Value> = parts.by_ref().filter(|part| part["type"] == "tool_result").collect();
    if let Some(latest) = known.last() {
        // The test may be over.
        let _ = results.send(latest.clone());
    }
    let (start, delta, stop) = if let Some(tool) = tools.get(known.len()) {
        let id = format!("toolu_{}", known.len());
        (
            json!({"type": "tool_use", "id": id, "name": tool["name"], "input": {}}),
            json!({"type": "input_json_delta", "partial_json": tool["input"].to_string()}),
            "tool_use",
        )
    } else {
        (
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": "It is done."}),
            "end_turn",
        )
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = json!({
        "id": "msg", "type": "message", "role": "assistant", "model": request["model"], "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    vec![
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": start}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}),
        json!({"type": "message_stop"}),
    ]
}
