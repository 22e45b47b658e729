//! The ports that a replacement adds, tried while the old cage still runs.

use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::options::NETWORK;
use crate::engine::container::Published;
use crate::engine::error::Trouble;
use crate::engine::publish::Publish;
use crate::lifecycle::context::Context;

/// The most ports to try at the engine.
const MOST: usize = 100;

impl Context<'_> {
    /// Checks that the engine can publish the ports of a cage with `options` that are not those of the cages that it replaces, the
    /// first of which is `old`. The engine is asked only about ports at which cage itself can't listen, as it may have other rights
    /// or be elsewhere.
    ///
    /// # Errors
    /// When one is taken, or a signal came.
    pub fn check_new_ports(
        &self,
        old: &Cage,
        left_over: Option<&Cage>,
        options: &CreateOptions,
    ) -> Result<()> {
        let Self { session, runtime, .. } = *self;
        if session.global.dry_run || !old.state.is_up() {
            return Ok(());
        }
        let replaced = [old].into_iter().chain(left_over);
        let held: Vec<Publish> =
            replaced.flat_map(|cage| &cage.ports).filter_map(Published::to_publish).collect();
        let is_doubtful =
            |port: &Publish| !held.iter().any(|held| held.clashes_with(port)) && !can_listen(port);
        let ports = options.all_ports().into_iter().flat_map(|port| port.each().collect::<Vec<_>>());
        let ports: Vec<String> = ports.filter(is_doubtful).take(MOST).map(|port| port.to_string()).collect();
        if ports.is_empty() {
            return Ok(());
        }
        let mut args = vec!["run", "--rm", "--pull", "never", "--cap-drop", "ALL"];
        let network = options.text(NETWORK);
        args.extend(network.iter().flat_map(|network| [NETWORK, network]));
        args.extend(ports.iter().flat_map(|port| ["--publish", port]));
        args.extend(["--entrypoint", "/bin/sh", &old.image_id, "-c", ":"]);
        let trial = runtime.command(args).slow("Trying the ports");
        let tried = session.interrupts.hold(|| session.runner.run(&trial));
        ensure!(!session.interrupts.came(), Failure::new("interrupted"));
        match tried {
            // Other failures may be the trial's alone.
            Err(error) if matches!(error.trouble, Trouble::PortTaken | Trouble::PortRefused) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a program can listen at a port of this machine, or this can't be known.
fn can_listen(port: &Publish) -> bool {
    match (port.protocol(), port.host_address()) {
        ("tcp", Some(address)) => TcpListener::bind(address).is_ok(),
        ("udp", Some(address)) => UdpSocket::bind(address).is_ok(),
        _ => true,
    }
}
