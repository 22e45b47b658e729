//! A new cage: the facts that decide about it, and the plans that create it or replace another one by it.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, ensure};

use crate::audit::Record;
use crate::base::error::Failure;
use crate::base::{console, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{
    Cage, DEFAULTS_LABEL, ENV_LABEL, IMAGE_LABEL, INODE_LABEL, KEEP_ID_LABEL, OPTIONS_LABEL, OWNER_LABEL,
    SEEN_LABEL, SINCE_LABEL, SUCCESSOR, TERMINAL_LABEL, USER_LABEL,
};
use crate::cage::home::{PREPARE, helper, home_volume};
use crate::cage::image_facts::{ImageFacts, Memory, NAMELESS};
use crate::cage::mount_points::MountPoints;
use crate::cage::options::{Home, NO_ROOT, NO_SSH};
use crate::cage::ssh_agent::{Agent, Link};
use crate::cage::user::{ImageUser, Mapping};
use crate::cage::{accounts, engine_args, home, isolation, nesting, seccomp, ssh_agent, user};
use crate::engine::command::{Invocation, PATIENCE};
use crate::engine::info::{Engine, Mode, Product};
use crate::engine::mount::Mount;
use crate::engine::new_file::NewFile;
use crate::engine::spec::ContainerSpec;
use crate::host::ids::Ids;
use crate::host::machine;
use crate::host::machine::Host;
use crate::host::worktree::GitDir;
use crate::lifecycle::baseline::Baseline;
use crate::lifecycle::context::{Context, Entry};
use crate::lifecycle::mount_points;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::steps::{halt, remove, remove_all, tell_ports};
use crate::lifecycle::worktrees;
use crate::lifecycle::worktrees::Worktrees;
use crate::lifecycle::{belonging, elsewhere};

/// The facts that decide about a new cage.
#[derive(Debug)]
pub struct NewCage<'a> {
    /// The project, the engine and the image.
    pub context: Context<'a>,
    /// The options of the cage.
    pub options: CreateOptions,
    /// The facts that are known before the image is pulled.
    pub preflight: Preflight,
    /// The facts about the engine.
    pub engine: Engine,
    /// The image's user.
    pub user: ImageUser,
    /// The mapping of that user to the user outside.
    pub mapping: Mapping,
    /// The files to put into the container before it starts.
    pub new_files: Vec<NewFile>,
    /// The directory that git needs besides the project.
    pub git: GitDir,
    /// The link to the SSH agent.
    pub link: Option<Link>,
    /// Advice for the user about an agent that can't be forwarded.
    pub advice: Option<String>,
    /// The directory with seed files for the home.
    pub seed: Option<String>,
    /// How a cage on another machine differs.
    pub notes: Vec<String>,
    /// The features to ask the engine for.
    pub features: Features,
    /// The record of the project before its first cage, so that `cage check` can tell what is new.
    pub record: Record,
    /// The path and the text of the file that keeps this record, if it is missing.
    pub baseline: Option<(PathBuf, String)>,
    /// The entry for the host's name, if the engine adds none.
    pub add_host: Option<String>,
    /// The other worktrees of the project's repository.
    pub worktrees: Worktrees,
    /// Whether files that the image's user creates belong to root, and not to the user outside.
    pub roots_files: bool,
    /// The mount points that lie in other mounts.
    pub points: MountPoints,
    /// The path and the text of a filter of system calls that replaces the engine's.
    pub seccomp: Option<(PathBuf, String)>,
}

/// Features that not every engine has; cage asks for them, and tries again without those that are missing.
#[derive(Debug, Clone, Copy)]
pub struct Features {
    /// The engine's init as the first process.
    pub init: bool,
    /// The SSH agent.
    pub agent: bool,
}

impl<'a> NewCage<'a> {
    /// Gathers the facts. The image must be on this machine, except in a dry run. `old` is the cage to be replaced.
    ///
    /// # Errors
    /// When the image can't be used, or not with this project.
    pub fn gather(
        context: Context<'a>,
        old: Option<&Cage>,
        options: CreateOptions,
        preflight: &Preflight,
        features: Features,
    ) -> Result<Self> {
        let Context { session, runtime, project, .. } = context;
        let host = &session.host;
        let engine = runtime.engine(host, session.runner)?;
        let git = GitDir::of(&project.dir());
        let link = Link::of(host, &project.name);
        let mut seed = home::seed_dir(host)?;
        let mut notes = Vec::new();
        if engine.machine == Some(Product::Elsewhere) {
            if !preflight.proved {
                context.prove(&options.image(), &preflight.endpoint, &git)?;
            }
            let has_agent = link.as_ref().is_some_and(Link::has_agent);
            notes = elsewhere::notes(&options, &preflight.endpoint, has_agent, seed.take().is_some());
        }
        let facts = image_facts(context, old, &engine, (&options.image(), &preflight.endpoint))?;
        let baseline = Baseline::of(host, project, old)?;
        let person = user::person(host, baseline.owner(host, project));
        let user = facts.user.clone();
        let mut mapping = Mapping::decide(runtime.kind, &engine, &user, person, facts.seen_owner);
        if options.joins_container() {
            mapping = mapping.without_namespace(&user);
        }
        let no_root = options.has(NO_ROOT);
        let has_own_ids = matches!(engine.machine, None | Some(Product::Elsewhere));
        if no_root && engine.mode == Mode::Rootful && has_own_ids {
            mapping = mapping.without_root(&user, person).ok_or_else(|| {
                Failure::new(format!(
                    "--no-root is not possible here: the user in the cage needs root's number to write the project {}",
                    text::escape(&project.path)
                ))
                .hint("give the directory to an ordinary user (`chown -R`), or use an engine without root")
            })?;
        }
        let mut new_files = Vec::new();
        let has_files = context.image.is_some() || !session.global.dry_run;
        let is_changed = matches!(mapping, Mapping::Renumber(_)) || user.name == NAMELESS;
        if is_changed && has_files {
            new_files.extend(accounts::renumbered(&facts, mapping.inside(&user))?);
        }
        new_files.extend(preflight.personal.files(&facts));
        ensure!(
            user.home != project.path,
            Failure::new(format!("the project {} is where the image has its user's home", project.path))
                .hint("move the project into a directory of its own")
        );
        let inside = mapping.inside(&user);
        let places = mount_points::places(&user.home, &project.path, git.outside(), &options);
        let mounts = places.into_iter().map(|place| place.target).collect();
        let worktrees = Worktrees::of(project.dir(), mounts, Some(SystemTime::now()));
        let is_native = engine.mode == Mode::Rootful && engine.machine.is_none();
        let roots_files = is_native && inside.uid == 0 && person.uid != 0;
        let has_processes = options.has_processes();
        let add_host = || runtime.kind.add_host(&engine, no_root, machine::address);
        let add_host = options.has_hosts().then(add_host).flatten();
        new_files.extend(worktrees.placeholders().iter().map(|path| NewFile::readable(path, "")));
        Ok(Self {
            context,
            worktrees,
            points: mount_points::gather(context, &options, git.outside(), (&user.home, inside))?,
            seccomp: seccomp::filter(host, runtime.kind, &engine, &options),
            options,
            mapping,
            new_files,
            git,
            notes,
            link,
            advice: ssh_agent::advice(engine.machine, &preflight.endpoint),
            seed,
            features: Features {
                init: features.init && has_processes && !runtime.kind.lacks_init(host),
                ..features
            },
            record: baseline.record(),
            baseline: baseline.to_file(host, project),
            add_host,
            roots_files,
            preflight: preflight.clone(),
            engine,
            user,
        })
    }

    /// Returns the plan that creates the cage. The container gets its final name last, so that a cage of that name is always complete.
    /// `remains` are containers that the engine could not remove, or that an earlier attempt left behind.
    ///
    /// # Errors
    /// When a file for the container has an impossible path.
    pub fn create<'b>(&self, remains: impl IntoIterator<Item = &'b Cage>, entry: &Entry) -> Result<Plan> {
        let Context { runtime, project, .. } = self.context;
        let name = &project.name;
        let new = format!("{name}{SUCCESSOR}");
        let forget = || {
            let files = self.link.iter().map(|link| &link.path);
            let files = files.chain(self.baseline.iter().map(|(path, _)| path));
            let records = self.preflight.records.iter().map(belonging::Record::restore);
            files.cloned().map(Step::Unlink).chain(records)
        };
        let mut plan = remove_all(runtime, remains);
        plan.append(self.make(&new, forget)?);
        plan.run(runtime.command(["rename", &new, name]));
        plan.push(self.undo(name, forget()));
        plan.extend(self.welcome().into_iter().chain(self.agentless()).map(Step::Say));
        plan.extend(self.ready_mounts(name));
        if let (Entry::Attach, false) = (entry, self.options.has_port_of_choice()) {
            plan.push(self.context.start_attached(name, self.settle(name)));
        } else {
            plan.append(self.start(name));
            plan.append(self.context.enter(
                name,
                None,
                (&self.fixed_variables(), &self.options.image()),
                entry,
            ));
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
        let mut plan = self.make(&new, || None)?;
        if old.state.is_up() {
            // The containers can't listen on the same ports at the same time.
            halt(&mut plan, &session.host, runtime, &[old], "restarted");
            // Code in the old cage could write until now, and may have put a link in the path of a mount.
            plan.push(self.undo(&new, [Step::Say(format!("{name} is still the old one, and is stopped"))]));
            plan.extend(self.ready_mounts(&new));
            let start = [
                Step::Run(runtime.command(["start", &old.id])),
                Step::Say(format!("{name} is the old one again; its programs have ended")),
            ];
            let sources = old.sources_of_v(&session.host, self.engine.machine);
            plan.push(self.undo(&new, sources.map(Step::CheckThere).chain(start)));
        } else {
            plan.extend(self.ready_mounts(&new));
        }
        plan.append(self.start(&new));
        plan.run(remove(runtime, &old.id));
        plan.run(runtime.command(["rename", &new, name]));
        plan.append(self.context.enter(name, None, (&self.fixed_variables(), &self.options.image()), entry));
        Ok(plan)
    }

    /// Returns the plan that makes a container of this name, complete but not started. If a later step fails, the container is
    /// removed, and `then` follows.
    fn make<T: IntoIterator<Item = Step>>(&self, name: &str, then: impl Fn() -> T) -> Result<Plan> {
        let Context { session, runtime, project, .. } = self.context;
        let host = &session.host;
        let mut plan = Plan::default();
        plan.say(format!("Creating {}", project.name));
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
        if self.options.home() == Some(Home::Project) {
            // The label names the project when the cage and the directory are gone. An existing volume keeps its labels.
            let label = format!("{}={}", host.label, project.path);
            plan.push(Step::Try(runtime.command(["volume", "create", "--label", &label, &self.home()])));
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
        if let Some(seed) = &self.seed {
            plan.say(format!("Seeding home directory from {seed}"));
        }
        if !self.has_home() {
            // Cages of other projects may be preparing the same home.
            plan.extend(host.state_file(&self.home(), "home.lock").map(Step::Lock));
            plan.run(self.prepare_home());
        }
        plan.extend(runtime.place(name, &self.new_files)?.map(Step::Run));
        plan.extend(worktrees::record(host, &project.name, &self.worktrees.placeholders()));
        Ok(plan)
    }

    /// Returns the step that removes a container, followed by others, if a later step fails.
    fn undo(&self, container: &str, then: impl IntoIterator<Item = Step>) -> Step {
        let remove = Step::Run(remove(self.context.runtime, container));
        Step::Undo(Plan::new([remove].into_iter().chain(then)))
    }

    /// Returns whether the home is ready without the helper: this machine shows that it has its owner, and it is to get nothing new.
    fn has_home(&self) -> bool {
        let ids = self.context.session.host.ids;
        let owner = match (self.mapping, self.engine.mode) {
            (Mapping::KeepId(_), _) | (Mapping::Renumber(Ids::ROOT), Mode::Rootless) => ids,
            (Mapping::Renumber(owner), Mode::Rootful) => owner,
            (Mapping::AsIs, Mode::Rootful) => self.user.ids,
            (Mapping::Renumber(_) | Mapping::AsIs, Mode::Rootless) => return false,
        };
        let is_here = |directory: &PathBuf| home::is_ready(directory, owner);
        self.engine.machine.is_none()
            && self.seed.is_none()
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

    /// Returns the plan that starts the container of this name and checks that it keeps running: with the engine's init as the first
    /// process, the start succeeds even if the image's command can't be executed.
    fn start(&self, name: &str) -> Plan {
        let runtime = self.context.runtime;
        let look =
            || runtime.command(["exec", "--workdir", "/", name, "/bin/sh", "-c", ":"]).within(PATIENCE);
        let mut plan = Plan::default();
        plan.run(runtime.command(["start", name]));
        plan.run(self.settle(name).unwrap_or_else(look));
        plan.push(Step::Keep);
        plan.extend(tell_ports(runtime, name, &self.options));
        plan
    }

    /// Returns the messages for the user's first cage.
    fn welcome(&self) -> Vec<String> {
        let host = &self.context.session.host;
        if !self.preflight.is_first || !host.terminal.stderr {
            return Vec::new();
        }
        let has_agent = match self.agent() {
            Some(Agent::Link(link)) => link.has_agent(),
            Some(Agent::Machine) => true,
            None => false,
        };
        let agent = if has_agent { ", your SSH agent" } else { "" };
        vec![
            format!("welcome! This cage can see this project{agent} and nothing else"),
            "  on your machine unless you add it".to_owned(),
            "  agent:   `cage run claude --dangerously-skip-permissions`".to_owned(),
            "  log in:  once, as `cage help run` describes: all cages share the home".to_owned(),
            format!("  home:    {} in volume {}, shared by all cages", self.user.home, host.home_volume),
            format!("  leave:   `exit` stops it; {} detaches, `cage start` re-attaches", host.detach_keys),
            "  reset:   `cage restart` gives a clean box; project and home stay".to_owned(),
            "  promise: `cage help start`, and SECURITY.md in cage's repository".to_owned(),
        ]
    }

    /// Returns a message for a terminal if no SSH agent is running here.
    fn agentless(&self) -> Option<String> {
        let Some(Agent::Link(link)) = self.agent() else { return None };
        let message = "no SSH agent is running here: git over SSH will fail in this cage";
        (self.context.session.host.terminal.stderr && !link.has_agent()).then(|| message.to_owned())
    }

    /// Returns the warnings about this cage.
    fn warnings(&self) -> Vec<String> {
        let Self { context: Context { session, project, .. }, options, engine, .. } = self;
        let mut warnings = Vec::new();
        if !options.has(NO_SSH) {
            if !self.features.agent {
                let remedy = ssh_agent::remedy(engine.machine);
                warnings.push(format!(
                    "the engine can't mount your SSH agent's socket; continuing without it. {remedy}"
                ));
            } else if let Some(advice) = &self.advice {
                warnings.push(advice.clone());
            }
        }
        warnings.extend(self.preflight.env.notes().iter().cloned());
        warnings.extend(self.proxy_warning());
        if self.roots_files {
            let why = "the image's user is root: files that the cage creates in the project belong to root";
            warnings.push(format!("{why}; --no-root makes them yours"));
        }
        warnings.extend(self.preflight.personal.warnings.iter().cloned());
        warnings.extend(isolation::weaknesses(&session.host, options, &project.path));
        for other in self.cages_losing_home() {
            warnings.push(format!(
                "the home that {other} uses, too, will belong to this project's owner, so that {other} can no longer write it; \
                 `--home project` gives this project a separate home"
            ));
        }
        let unenforced = options.limits().filter(|limit| engine.unenforced.contains(limit));
        warnings.extend(
            unenforced.map(|limit| format!("this engine can't limit {limit}: the cage may use any amount")),
        );
        warnings.extend(self.worktrees.borrowed().iter().map(|store| {
            let mount = Mount::path(store, store).readonly().to_volume_option();
            format!(
                "git borrows objects from {}, which is not in the cage: add `-v {}`",
                text::escape(store),
                text::escape(&text::quote(&mount))
            )
        }));
        if let GitDir::Refused(why) = &self.git {
            warnings.push(format!(
                "git won't work in the cage, because {}/.git is not used: {why}",
                project.path
            ));
        }
        warnings
    }

    /// Returns the step that gives new volumes to the user, if there are any.
    fn give_volumes(&self, name: &str) -> Option<Step> {
        let Context { runtime, .. } = self.context;
        let is_needed = !self.points.volumes.is_empty() || !self.points.in_volumes.is_empty();
        let flags = self.userns().into_iter().chain(self.security()).collect();
        let owner = self.mapping.inside(&self.user).to_string();
        let give = || home::give_volumes(runtime, &self.options.image(), flags, name, (&owner, &self.points));
        is_needed.then(|| Step::Run(give()))
    }

    /// Returns the steps before the start of the container of this name: they check the paths of the mounted files and directories of
    /// the host, except the SSH agent, create mount points in them, and give new volumes to the user.
    fn ready_mounts(&self, name: &str) -> impl Iterator<Item = Step> {
        let git = self.git.outside().map(PathBuf::from);
        let sources = [self.context.project.dir()].into_iter().chain(self.options.sources()).chain(git);
        let points = mount_points::steps(self.context, &self.points);
        sources.map(Step::CheckUnlinked).chain(points).chain(self.give_volumes(name))
    }

    /// Returns the name of the volume that is the cage's home.
    fn home(&self) -> String {
        home_volume(&self.context.session.host, self.context.project, &self.options)
    }

    /// Returns the other cages that can no longer write this home once it belongs to this project's owner.
    fn cages_losing_home(&self) -> impl Iterator<Item = &str> {
        let (volume, owner) = (self.home(), self.mapping.inside(&self.user).to_string());
        // If the engine can map users, different IDs in the containers are the same host user.
        let maps = self.engine.mode == Mode::Rootless && self.context.runtime.kind.keeps_ids();
        let loses = move |other: &&Cage| {
            !maps
                && other.mount_point_of(&volume).is_some()
                && other.label(OWNER_LABEL).is_some_and(|of| of != owner)
        };
        self.preflight.others.iter().filter(loses).map(|other| other.name.as_str())
    }

    /// Returns the flag that maps user IDs, or turns off docker's userns-remap: no user in the cage could write the project with it.
    fn userns(&self) -> Option<String> {
        self.mapping.flag().or_else(|| self.engine.remaps.then(|| "--userns=host".to_owned()))
    }

    /// Returns the flag that keeps `SELinux` from confining the container: relabelling the project would change it on the host, for good.
    fn security(&self) -> Option<String> {
        self.engine.selinux.then(|| home::UNCONFINED.to_owned())
    }

    /// Returns the mount of the SSH agent, if the cage has one.
    pub(super) fn agent(&self) -> Option<Agent<'_>> {
        let wsl = self.context.session.host.wsl;
        let decide = || Agent::decide(self.engine.machine, wsl, self.link.as_ref());
        (self.features.agent && !self.options.has(NO_SSH)).then(decide).flatten()
    }

    fn spec(&self, name: &str) -> ContainerSpec {
        let Self { context: Context { runtime, project, .. }, options, .. } = self;
        let mut mounts =
            vec![Mount::volume(self.home(), &self.user.home), Mount::path(&project.path, &project.path)];
        if let Some(dir) = self.git.outside() {
            mounts.push(Mount::path(dir, dir));
        }
        mounts.extend(self.agent().and_then(Agent::mount));
        mounts.extend(options.mounts().cloned());
        let no_root = options.has(NO_ROOT);
        let no_new_privileges = no_root.then(|| "--security-opt=no-new-privileges".to_owned());
        let seccomp =
            self.seccomp.iter().map(|(path, _)| format!("--security-opt=seccomp={}", path.to_string_lossy()));
        let has_user = self.mapping != Mapping::AsIs || self.user.name == NAMELESS;
        ContainerSpec {
            name: name.to_owned(),
            hostname: options.has_hostname().then(|| project.name.clone()),
            workdir: project.path.clone(),
            image: options.image(),
            labels: self.labels(),
            user: has_user.then(|| self.user.name.clone()),
            userns: self.userns(),
            security: self.security().into_iter().chain(no_new_privileges).chain(seccomp).collect(),
            group: self.group(),
            cap_drop: if no_root { vec!["ALL"] } else { engine_args::dropped(&options.engine_args) },
            options: options.to_engine_args(runtime.kind),
            engine_args: options.engine_args.clone(),
            add_host: self.add_host.clone(),
            mounts,
            publish: options.ports().cloned().collect(),
            env: self.variables(),
            env_file: self.preflight.env.to_input(options.variables()),
            init: self.features.init,
        }
    }

    /// Returns the labels, which record how the cage was made.
    fn labels(&self) -> Vec<(String, String)> {
        let Self { context: Context { session, project, .. }, options, .. } = self;
        // A virtual machine has inode numbers of its own.
        let inode = self.engine.machine.is_none().then(|| project.inode.to_string());
        let keep_id = if let Mapping::KeepId(ids) = self.mapping { ids.to_string() } else { String::new() };
        let labels = [
            (session.host.label.as_str(), project.path.clone()),
            (IMAGE_LABEL, options.image()),
            (INODE_LABEL, inode.unwrap_or_default()),
            (OPTIONS_LABEL, options.to_label()),
            (DEFAULTS_LABEL, options.to_defaults_label()),
            (USER_LABEL, self.user.to_label()),
            (OWNER_LABEL, self.mapping.inside(&self.user).to_string()),
            (ENV_LABEL, self.preflight.env.digest()),
            (KEEP_ID_LABEL, keep_id),
            (SEEN_LABEL, self.record.label.clone()),
            (SINCE_LABEL, self.record.since.to_string()),
            (TERMINAL_LABEL, self.fixed_variables()),
        ];
        labels.map(|(label, value)| (label.to_owned(), value)).into()
    }

    /// Returns the project's group, if the user can write the project only as a member of that group.
    fn group(&self) -> Option<u32> {
        let Mapping::Renumber(person) = self.mapping else { return None };
        let Context { session, project, .. } = self.context;
        let Host { groups, powerful_groups, .. } = &session.host;
        // Code in an earlier cage may have given the directory to any group.
        // On another machine the number may be that of another group.
        let is_harmless = self.engine.machine != Some(Product::Elsewhere)
            && groups.contains(&project.owner.gid)
            && !powerful_groups.contains(&project.owner.gid);
        (project.owner.gid != person.gid && is_harmless).then_some(project.owner.gid)
    }
}

/// Returns the facts about the image of this name; the engine is at `endpoint`. `old` is the cage to be replaced.
fn image_facts(
    context: Context,
    old: Option<&Cage>,
    engine: &Engine,
    (name, endpoint): (&str, &str),
) -> Result<ImageFacts> {
    let Context { session, runtime, project, image } = context;
    let (host, runner) = (&session.host, session.runner);
    let directory = engine.machine.is_some().then_some(project.path.as_str());
    let Some(image) = image else {
        if session.global.dry_run {
            console::warn(
                "the image is not here yet: assuming that its user is vscode, as in the published one, with your IDs",
            );
            return Ok(ImageFacts::published());
        }
        return ImageFacts::ask(runtime, runner, name, directory);
    };
    let memory = Memory::of(host, runtime, endpoint, &image.id);
    // A virtual machine shows the project with an owner that cages of the same image have seen.
    let same = old.filter(|old| old.image_id == image.id);
    let seen_owner = same.and_then(|old| old.ids(OWNER_LABEL).ok()?);
    let remembered = memory.as_ref().filter(|_| directory.is_none() || seen_owner.is_some());
    if let Some(facts) = remembered.and_then(Memory::read) {
        return Ok(ImageFacts { seen_owner, ..facts });
    }
    match memory {
        Some(memory) if !session.global.dry_run => memory.ask(runtime, runner, &image.id, directory),
        _ => ImageFacts::ask(runtime, runner, &image.id, directory),
    }
}
