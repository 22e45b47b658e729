//! The plans that create a cage or replace another one by it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::base::script;
use crate::base::text::escape;
use crate::cage::existing::{Cage, SUCCESSOR};
use crate::cage::home::{PREPARE, helper};
use crate::cage::image_facts::Outside;
use crate::cage::options::{Home, NO_ROOT};
use crate::cage::ssh_agent::Agent;
use crate::cage::user::Mapping;
use crate::cage::{engine_args, home, nesting};
use crate::engine::command::Invocation;
use crate::engine::info::Mode;
use crate::engine::mount::Mount;
use crate::host::ids::Ids;
use crate::lifecycle::belonging;
use crate::lifecycle::context::{Context, Entry};
use crate::lifecycle::exec::ExecTarget;
use crate::lifecycle::mount_points;
use crate::lifecycle::new_cage::NewCage;
use crate::lifecycle::pause::Pause;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::steps::{halt, remove, remove_all, start_checked, tell_ports};
use crate::lifecycle::worktrees;

/// Gives files of the image to the user.
const HAND_OVER: &str = script::body(include_str!("hand_over.sh"));

impl NewCage<'_> {
    /// Returns the plan that creates the cage. If cage is killed before the container is complete, the file of its lock stays, and
    /// tells the next command. `remains` are containers that the engine could not remove, or that an earlier attempt left behind.
    ///
    /// # Errors
    /// When a file for the container has an impossible path.
    pub fn create<'b>(&self, remains: impl IntoIterator<Item = &'b Cage>, entry: &Entry) -> Result<Plan> {
        let Context { runtime, project, .. } = self.context;
        let name = &project.name;
        let forget = || {
            let files = self.link.iter().map(|link| &link.path);
            let files = files.chain(self.baseline.iter().map(|(path, _)| path));
            let records = self.preflight.records.iter().map(belonging::Record::restore);
            files.cloned().map(Step::Unlink).chain(records)
        };
        let mut plan = remove_all(runtime, remains);
        plan.append(self.make(name, forget));
        plan.extend(self.fill(name, &self.writers)?);
        plan.extend(self.welcome(entry).into_iter().chain(self.agentless()).map(Step::Say));
        plan.extend(self.ready_mounts(name));
        let is_separate = self.options.has_port_of_choice()
            || self.hand_over(name).is_some()
            || !self.neighbours().is_empty();
        if let (Entry::Attach, false) = (entry, is_separate) {
            plan.extend(self.check_again());
            plan.append(self.context.start_attached(name, self.settle(name)));
        } else {
            plan.append(self.start(name));
            plan.append(self.enter(name, entry));
        }
        Ok(plan)
    }

    /// Returns the plan that replaces `old` by the cage; `old` is removed only when the new container runs. They have the same link
    /// to the SSH agent.
    ///
    /// # Errors
    /// When a file for the container has an impossible path.
    pub fn replace(&self, old: &Cage, entry: &Entry) -> Result<Plan> {
        let Context { session, runtime, project, .. } = self.context;
        let name = &project.name;
        let new = format!("{name}{SUCCESSOR}");
        let mut plan = self.make(&new, || None);
        // The old one stops anyway, also where the engine can't pause.
        let mut others = self.writers.clone();
        others.retain(|writer| writer.id != old.id);
        let is_filled_first = others.len() == self.writers.len();
        if is_filled_first {
            plan.extend(self.fill(&new, &others)?);
        }
        if old.state.is_up() {
            // The containers can't listen on the same ports at the same time.
            halt(&mut plan, &session.host, runtime, &[old], "restarted");
            // Code in the old cage could write until now, and may have put a link in the path of a mount.
            plan.push(self.undo(&new, [Step::Say(format!("{name} is still the old one, and is stopped"))]));
            plan.extend(self.ready_mounts(&new));
            let sources = old.sources_of_v(&session.host, self.preflight.engine.machine);
            // So may code in the new one, which runs before it is known that the start has failed.
            let check = Step::CheckMounts(old.clone().into(), old.options().unwrap_or_default().into());
            let neighbours = nesting::neighbours_of(old, &self.preflight.others);
            let mut start = start_checked(runtime, &old.id, [check], &neighbours);
            start.say(format!("{name} is the old one again; its programs have ended"));
            plan.push(self.undo(&new, sources.map(Step::CheckThere).chain(start.into_steps())));
            if !is_filled_first {
                plan.extend(self.fill(&new, &others)?);
            }
        } else {
            plan.extend(self.ready_mounts(&new));
        }
        plan.append(self.start(&new));
        plan.run(remove(runtime, &old.id));
        plan.run(runtime.command(["rename", &new, name]));
        plan.append(self.enter(name, entry));
        Ok(plan)
    }

    /// Returns the plan that enters the container of this name, which has just been started.
    fn enter(&self, name: &str, entry: &Entry) -> Plan {
        let (fixed, image) = (self.fixed_variables(), self.options.image());
        self.context.enter(ExecTarget { id: name, fixed: &fixed, image: &image }, None, entry)
    }

    /// Returns the plan that makes a container of this name, without the files that [`NewCage::fill`] copies. If a later step fails,
    /// the container is removed, and `then` follows.
    fn make<T: IntoIterator<Item = Step>>(&self, name: &str, then: impl Fn() -> T) -> Plan {
        let Context { session, runtime, project, .. } = self.context;
        let host = &session.host;
        let mut plan = Plan::default();
        // sudo keeps nothing of the way to the directory, on which code in a cage may have put a link.
        let is_unsure = host.variable("SUDO_UID").is_some() && host.path_variable("PWD").is_none();
        let place = if is_unsure { format!(" for {}", escape(&project.path)) } else { String::new() };
        plan.say(format!("Creating {}{place}", project.name));
        plan.extend(self.notes.iter().cloned().map(Step::Say));
        plan.extend(self.warnings().into_iter().map(Step::Warn));
        plan.extend(self.preflight.suggestions.iter().cloned().map(Step::Say));
        if let Some(dir) = self.git.outside() {
            let dirs = [PathBuf::from(dir)];
            for other in nesting::neighbours(&project.name, &dirs, &self.preflight.others) {
                plan.say(format!(
                    "the repository {dir} is in {}, too: code in one cage can set hooks for the other, and for you",
                    other.name
                ));
            }
        }
        let link = if let Some(Agent::Link(link)) = self.agent() { Some(link.clone()) } else { None };
        let files = link
            .map(Step::Link)
            .into_iter()
            .chain(self.preflight.records.iter().map(belonging::Record::write));
        let files: Vec<Step> = files.collect();
        if !files.is_empty() {
            plan.extend(files);
            plan.push(Step::Undo(Plan::new(then())));
        }
        // The label names the project when the cage and the directory are gone. An existing volume keeps its labels.
        let label = format!("{}={}", host.label, project.path);
        let label = (self.options.home() == Some(Home::Project)).then_some(["--label", &label]);
        // If podman makes the volume together with a container that has these IDs, only the helper can look into it, and not the
        // user.
        let is_closed = self.preflight.home.is_none() && matches!(self.mapping, Mapping::KeepId(_));
        if label.is_some() || is_closed {
            let flags = label.into_iter().flatten();
            let create = ["volume", "create"].into_iter().chain(flags).map(str::to_owned);
            plan.push(Step::Try(runtime.command(create.chain([self.home()]))));
        }
        plan.extend(self.seccomp.iter().map(|(path, text)| Step::Write(path.clone(), text.clone())));
        let spec = self.spec(name);
        let stays = !spec.engine_args.is_empty();
        let mut create = runtime.command(spec.create_args()).stdin(spec.env_file).stays(stays);
        if let Mapping::KeepId(_) = self.mapping {
            // podman copies an image when it is first used with these IDs, which takes minutes if it is large:
            // https://github.com/containers/podman/issues/20845
            create = create.slow("Preparing the image for your user, once");
        }
        // docker creates what is missing as soon as a file is copied into the container.
        plan.extend(mount_points::steps(self.context, &self.points));
        plan.run(create);
        plan.push(self.undo(name, then()));
        plan.extend(self.baseline.iter().map(|(path, text)| Step::Write(path.clone(), text.clone())));
        if !self.has_home() {
            plan.extend(
                self.seed.iter().map(|seed| Step::Say(format!("Seeding home directory from {seed}"))),
            );
            // Cages of other projects may be preparing the same home.
            plan.extend(host.state_file(&self.home(), "home.lock").map(Step::Lock));
            plan.run(self.prepare_home());
        }
        plan
    }

    /// Returns the steps that copy files into the container of this name while no code runs in `writers` that could lead the engine
    /// elsewhere.
    ///
    /// # Errors
    /// When a file has an impossible path.
    fn fill(&self, name: &str, writers: &[Cage]) -> Result<Vec<Step>> {
        let Context { session, runtime, project, .. } = self.context;
        let copy = runtime.place(name, &self.new_files)?.map(Step::Run);
        let pause = |copy| {
            let pause = Pause::new(runtime, writers);
            Step::WhilePaused(Box::new(pause), Plan::new(self.mount_steps().chain([copy])))
        };
        let copy = if writers.is_empty() { copy } else { copy.map(pause) };
        let record = worktrees::record(&session.host, &project.name, &self.worktrees.placeholders());
        Ok(copy.into_iter().chain(record).collect())
    }

    /// Returns the step that removes a container, followed by others, if a later step fails.
    fn undo(&self, container: &str, then: impl IntoIterator<Item = Step>) -> Step {
        let remove = Step::Run(remove(self.context.runtime, container));
        Step::Undo(Plan::new([remove].into_iter().chain(then)))
    }

    /// Returns whether the home is ready without the helper: this machine shows that it has its owner, and it is to get nothing
    /// new.
    fn has_home(&self) -> bool {
        let ids = self.context.session.host.ids;
        let owner = match (self.mapping, self.preflight.engine.mode) {
            (Mapping::KeepId(_), _) | (Mapping::Renumber(Ids::ROOT), Mode::Rootless) => ids,
            (Mapping::Renumber(owner), Mode::Rootful) => owner,
            (Mapping::AsIs, Mode::Rootful) => self.user.ids,
            (Mapping::Renumber(_) | Mapping::AsIs, Mode::Rootless) => return false,
        };
        let has_seed = |directory: &PathBuf| {
            let seed = self.seed.as_ref();
            seed.is_none_or(|seed| home::has_seed(directory, seed.as_ref()).unwrap_or(false))
        };
        let is_here = |directory: &PathBuf| home::is_ready(directory, owner) && has_seed(directory);
        self.preflight.engine.machine.is_none()
            && self.points.words_for_home().is_empty()
            && self.preflight.home.as_ref().is_some_and(is_here)
    }

    /// Returns the command that prepares the home.
    fn prepare_home(&self) -> Invocation {
        let Context { runtime, .. } = self.context;
        let home = &self.user.home;
        let mut mounts = vec![Mount::volume(self.home(), home)];
        mounts.extend(self.seed.as_ref().map(|seed| Mount::path(seed, "/cage-seed").readonly()));
        let owner = self.mapping.inside(&self.user).to_string();
        let points = self.points.words_for_home();
        let mut script = vec![PREPARE, "sh", home, &owner];
        script.extend(points.iter().map(String::as_str));
        let flags: Vec<String> = self.userns().into_iter().chain(self.security()).collect();
        helper(runtime, &self.options.image(), &flags, &mounts, &script).slow("Making the home ready")
    }

    /// Returns the command to run in a container of this name once it has started, if any.
    fn settle(&self, name: &str) -> Option<Invocation> {
        self.context.settle(name, self.agent() == Some(Agent::Machine), &self.options)
    }

    /// Returns the command that gives files of the image to the user, if there are a few. Many would take long, and more of the
    /// disk.
    fn hand_over(&self, name: &str) -> Option<Invocation> {
        let Outside { files, has_more } = &self.outside;
        // A file that is mounted, or lies in a mount, is none of the image. Volumes were given to the user before.
        let (git, project) = (self.git.outside(), &self.context.project.path);
        let mounts = mount_points::places(&self.user.home, project, git, &self.options);
        let is_mounted = |file: &str| mounts.iter().any(|mount| Path::new(file).starts_with(&mount.target));
        let files: Vec<&str> = files.iter().map(String::as_str).filter(|file| !is_mounted(file)).collect();
        if files.is_empty() || *has_more || self.options.has(NO_ROOT) {
            return None;
        }
        let (old, new) = (self.user.ids.uid.to_string(), self.mapping.inside(&self.user).to_string());
        let mut args = vec!["exec", "--workdir", "/", "--user", "0"];
        args.extend(script::NO_LIBRARIES);
        args.extend([name, "/bin/sh", "-c", HAND_OVER, "sh", &old, &new]);
        args.extend(files);
        Some(self.context.runtime.command(args))
    }

    /// Returns the plan that starts the container of this name and checks that it keeps running: with the engine's init as the
    /// first process, the start succeeds even if the image's command can't be executed.
    fn start(&self, name: &str) -> Plan {
        let runtime = self.context.runtime;
        let look = || runtime.command(["exec", "--workdir", "/", name, "/bin/sh", "-c", ":"]);
        let mut plan = Plan::default();
        plan.append(start_checked(runtime, name, self.check_again(), &self.neighbours()));
        plan.run(self.settle(name).unwrap_or_else(look));
        plan.extend(self.hand_over(name).map(Step::Run));
        plan.push(Step::Keep);
        plan.extend(tell_ports(runtime, name, &self.options));
        plan
    }

    fn gives_volumes(&self) -> bool {
        !self.points.volumes.is_empty() || !self.points.in_volumes.is_empty()
    }

    /// Returns the step that gives new volumes to the user, if there are any.
    fn give_volumes(&self, name: &str) -> Option<Step> {
        if !self.gives_volumes() {
            return None;
        }
        let from = [format!("--volumes-from={name}")];
        let flags: Vec<String> = self.userns().into_iter().chain(self.security()).chain(from).collect();
        let owner = self.mapping.inside(&self.user).to_string();
        let script = home::give_volumes(&owner, self.user.ids.uid, &self.points);
        let script: Vec<&str> = script.iter().map(String::as_str).collect();
        let give = helper(self.context.runtime, &self.options.image(), &flags, &[], &script);
        Some(Step::Run(give.slow("Making the volumes ready")))
    }

    /// Returns the steps before the start of the container of this name: they check the paths of the mounted files and directories
    /// of the host, except the SSH agent, create mount points in them, and give new volumes to the user.
    fn ready_mounts(&self, name: &str) -> impl Iterator<Item = Step> {
        self.mount_steps().chain(self.give_volumes(name))
    }

    /// Returns the first of these steps, those that need no container.
    fn mount_steps(&self) -> impl Iterator<Item = Step> {
        let project = self.context.project.path.clone();
        let written = Step::CheckWritten(self.written(), project, self.options.clone().into());
        let points = mount_points::steps(self.context, &self.points);
        self.sources().map(Step::CheckUnlinked).chain([written]).chain(points)
    }

    /// Returns these steps once more if a while has passed since the first time, or code in another cage can change their results.
    fn check_again(&self) -> Vec<Step> {
        let is_needed = !self.points.here.is_empty() || self.gives_volumes() || !self.neighbours().is_empty();
        if is_needed { self.mount_steps().collect() } else { Vec::new() }
    }

    /// Returns the mounted files and directories of the host, except those in arguments for the engine.
    fn sources(&self) -> impl Iterator<Item = PathBuf> {
        let git = self.git.outside().map(PathBuf::from);
        [self.context.project.dir()].into_iter().chain(self.options.sources()).chain(git)
    }

    /// Returns those in arguments for the engine, as they are written.
    fn written(&self) -> Vec<String> {
        let here = self.context.session.host.cwd.as_deref().unwrap_or(Path::new("/"));
        engine_args::written(&self.options.engine_args, here)
    }

    /// Returns the other running cages that could exchange one of them with a link.
    fn neighbours(&self) -> Vec<Cage> {
        let sources: Vec<_> = self.sources().chain(self.written().into_iter().map(PathBuf::from)).collect();
        let Preflight { others, .. } = &self.preflight;
        nesting::neighbours(&self.context.project.name, &sources, others).cloned().collect()
    }
}
