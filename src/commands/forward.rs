//! `cage forward`: ports of the cage on this machine.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::base::error::Failure;
use crate::engine::container::State;
use crate::engine::forward::bridge::{Bridge, PROBE, PROGRAMS};
use crate::engine::forward::{Forwarding, Port};
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;

/// Reach ports inside the running cage at 127.0.0.1, until Ctrl-C
///
/// This includes servers that listen only on the cage's own localhost, and servers that start later. The cage is not
/// restarted. At most 200 connections are open at once; more wait.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage forward 3000            Reach port 3000 of the cage at 127.0.0.1:3000
  cage forward 8080:80 5432    Reach port 80 at 127.0.0.1:8080, and port 5432
  cage forward 0:3000          Reach port 3000 at a free port of this machine")]
pub struct Forward {
    /// Port in the cage; put the port on this machine in front if it differs (0: any free port)
    #[arg(value_name = "[HOST_PORT:]PORT", required = true, value_parser = ports)]
    ports: Vec<(u16, u16)>,
}

/// Parses `[HOST_PORT:]PORT`: the port of this machine, 0 for any free one, and the port in the cage.
fn ports(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str, least: u16| match text.parse::<u16>() {
        // `parse` accepts a plus sign.
        Ok(port) if port >= least && !text.starts_with('+') => Ok(port),
        _ => Err(format!(
            "`{text}` is not a port from {least} to 65535; expected [HOST_PORT:]PORT, such as 3000 or 8080:3000"
        )),
    };
    match text.rsplit_once(':') {
        Some((host, inside)) => Ok((port(host, 0)?, port(inside, 1)?)),
        None => port(text, 1).map(|port| (port, port)),
    }
}

impl Forward {
    /// Forwards the ports until Ctrl-C.
    ///
    /// # Errors
    /// When a port is taken, the cage is not running or stops, or nothing in it can connect.
    pub fn run(self, session: &Session) -> Result<u8> {
        let ports = self.listen(session.global.dry_run)?;
        let (target, runtime, found) = session.find_nearest(None, Fallback::Allowed)?;
        let container = target.running(found.as_ref(), session.project().ok().as_ref())?;
        ensure!(
            container.state == State::Running,
            Failure::new(format!("Container {} is paused", container.name)).hint("`cage start` brings it up")
        );
        let probe = ["exec", "--workdir", "/", &container.id, "/bin/sh", "-c", PROBE];
        let answer = session.runner.run(&runtime.command(probe))?;
        let Some(bridge) = Bridge::parse(&answer) else {
            bail!(
                Failure::new(format!("nothing in {} can connect to a port", container.name)).hint(format!(
                    "install {PROGRAMS} in it; or publish the port: `cage restart -p 3000:3000`"
                ))
            );
        };
        let forwarding = Forwarding {
            name: container.name.clone(),
            container: container.id.clone(),
            runtime,
            mark: format!("CAGE_SESSION={}", session.host.session),
            bridge,
            ports,
        };
        session.carry_out(&Plan::new([Step::Forward(forwarding)]))
    }

    /// Listens on the ports, except in a dry run. This comes first, as an error here needs no engine.
    fn listen(&self, dry_run: bool) -> Result<Vec<Port>> {
        let mut ports: Vec<Port> = Vec::new();
        for &(host, inside) in &self.ports {
            if host != 0 && ports.iter().any(|port| port.host == host) {
                bail!(Failure::new(format!("port 127.0.0.1:{host} is wanted twice")));
            }
            let mut port = Port { host, inside, listener: None };
            if !dry_run {
                let listener = listen(host).map_err(|error| listen_failure(&error, host, inside))?;
                port.host = listener.local_addr()?.port();
                port.listener = Some(listener);
            }
            ports.push(port);
        }
        Ok(ports)
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn listen_failure(error: &io::Error, host: u16, inside: u16) -> Failure {
    let instead = format!("use a free port: `cage forward 0:{inside}`");
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(format!("port 127.0.0.1:{host} is taken"))
            .hint(format!("stop what listens there, or {instead}")),
        io::ErrorKind::PermissionDenied => {
            Failure::new(format!("you may not listen on port 127.0.0.1:{host}"))
                .hint(format!("ports below 1024 are root's; {instead}"))
        }
        _ => Failure::new(format!("can't listen on port 127.0.0.1:{host}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_port_is_the_same_on_both_sides() {
        for (typed, host, inside) in [("3000", 3000, 3000), ("8080:80", 8080, 80), ("0:1", 0, 1)] {
            assert_eq!(ports(typed), Ok((host, inside)));
        }
    }

    #[test]
    fn an_invalid_port_is_named_in_the_error() {
        for (typed, named) in [
            ("0", "`0` is not a port from 1"),
            ("65536", "`65536` is not a port from 1"),
            ("-1", "`-1` is"),
            ("+80", "`+80` is"),
            ("", "`` is"),
            ("http", "`http` is"),
            ("80/udp", "`80/udp` is"),
            ("80-90", "`80-90` is"),
            (":80", "`` is not a port from 0"),
            ("80:", "`` is not a port from 1"),
            ("65536:80", "`65536` is not a port from 0"),
            ("127.0.0.1:80:80", "`127.0.0.1:80` is"),
        ] {
            let why = ports(typed).unwrap_err();
            assert!(why.starts_with(named), "{typed}: {why}");
        }
    }

    #[test]
    fn the_hint_suggests_a_free_port() {
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied] {
            let failure = listen_failure(&kind.into(), 443, 80);
            let hint = crate::engine::error::hint(&failure.into()).unwrap();
            assert!(hint.ends_with("use a free port: `cage forward 0:80`"), "{hint}");
        }
    }
}
