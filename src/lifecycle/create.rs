//! A new cage: the facts that decide about it, and the plan that makes its container.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::{console, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::{
    Cage, DEFAULTS_LABEL, ENV_LABEL, IMAGE_LABEL, INODE_LABEL, KEEP_ID_LABEL, OPTIONS_LABEL, OWNER_LABEL,
    USER_LABEL,
};
use crate::cage::home::{Preparation, home_volume};
use crate::cage::options::{Home, NO_ROOT, NO_SSH};
use crate::cage::ssh_agent::{Agent, Link};
use crate::cage::user::{ImageUser, Mapping};
use crate::cage::variable::LOCALE;
use crate::cage::{engine_args, home, isolation, nesting, ssh_agent, user};
use crate::engine::info::{Engine, Mode};
use crate::engine::mount::Mount;
use crate::engine::spec::ContainerSpec;
use crate::host::ids::Ids;
use crate::host::machine::{self, Host};
use crate::host::project::Project;
use crate::host::worktree::GitDir;
use crate::lifecycle::baseline::Baseline;
use crate::lifecycle::context::Context;
use crate::lifecycle::lock;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::Removal;

/// Everything that is decided about a new cage.
#[derive(Debug)]
pub struct NewCage {
    /// The facts about the engine.
    pub engine: Engine,
    /// The image's user.
    pub user: ImageUser,
    /// The mapping of that user to the user outside.
    pub mapping: Mapping,
    /// The variables from env files.
    pub env: EnvFiles,
    /// Whether the image sets a locale.
    pub has_locale: bool,
    /// The directory that git needs besides the project.
    pub git: GitDir,
    /// The link to the SSH agent.
    pub link: Option<Link>,
    /// What the user can do about an agent that can't be forwarded.
    pub advice: Option<String>,
    /// The directory with seed files for the home.
    pub seed: Option<String>,
    /// The features to ask the engine for.
    pub features: Features,
    /// The record of the project before the first cage.
    pub baseline: Baseline,
    /// The other cages.
    pub others: Vec<Cage>,
    /// Whether this is the first cage: there is no shared home yet.
    pub is_first: bool,
    /// The entry for the host's name, where the engine makes none.
    pub add_host: Option<String>,
}

/// Features that not every engine has; cage asks for them, and tries again without those that are missing.
#[derive(Debug, Clone, Copy)]
pub struct Features {
    /// The engine's init as the first process.
    pub init: bool,
    /// The SSH agent.
    pub agent: bool,
}

impl NewCage {
    /// Gathers the facts and decides. The image must be on this machine, except in a dry run. The user of the image is known from
    /// `old`, the cage to be replaced, if that has the same image.
    ///
    /// # Errors
    /// When the image can't be used, or not with this project.
    pub fn gather(
        session: &Session,
        context: &Context,
        old: Option<&Cage>,
        Preflight { env, endpoint, others, is_first, no_root }: Preflight,
        features: Features,
    ) -> Result<Self> {
        let Context { host, runtime, project, .. } = *context;
        let engine = runtime.engine(host, session.runner)?;
        let (user, looks) = image_user(session, context, old, &engine)?;
        let person = user::person(host, project)?;
        let mut mapping = Mapping::decide(runtime.kind, &engine, &user, person, looks);
        if no_root && engine.mode == Mode::Rootful && engine.machine.is_none() {
            mapping = mapping.without_root(&user, person).ok_or_else(|| {
                Failure::new(format!(
                    "--no-root is not possible here: the user in the cage needs root's number to write the project {}",
                    text::escape(&project.path)
                ))
                .hint("give the directory to an ordinary user (`chown -R`), or use an engine without root")
            })?;
        }
        let advice = ssh_agent::advice(engine.machine, &endpoint);
        let link = Link::of(host, &project.name);
        let seed = home::seed_dir(host)?;
        if user.home == project.path {
            bail!(
                Failure::new(format!("the project {} is where the image has its user's home", project.path))
                    .hint("move the project into a directory of its own")
            );
        }
        let has_locale = context.image.is_some_and(|image| LOCALE.iter().any(|name| image.sets(name)));
        let git = GitDir::of(&project.dir());
        let baseline = Baseline::of(&project.dir(), old);
        let features = Features { init: features.init && !runtime.kind.lacks_init(host), ..features };
        let add_host = runtime.kind.add_host(&engine, no_root, machine::address);
        Ok(Self {
            engine,
            user,
            mapping,
            env,
            has_locale,
            git,
            link,
            advice,
            seed,
            features,
            baseline,
            others,
            is_first,
            add_host,
        })
    }

    /// Returns the plan that makes a container of this name, complete but not started, and removes it if a later step fails.
    pub fn make(&self, context: &Context, name: &str, options: &CreateOptions, undo: Removal) -> Plan {
        let Context { host, runtime, project, .. } = *context;
        let mut plan = Plan::default();
        plan.say(format!("Creating {}", project.name));
        plan.extend(self.warnings(host, project, options).into_iter().map(Step::Warn));
        if let GitDir::Outside(dir) = &self.git {
            let dirs = [PathBuf::from(dir)];
            for other in nesting::neighbours(&project.name, &dirs, &self.others) {
                plan.say(format!(
                    "the repository {dir} is in {}, too: code in one cage can set hooks for the other, and for you",
                    other.name
                ));
            }
        }
        if let Some(Agent::Link(link)) = self.agent(host, options) {
            plan.push(Step::Link(link.clone()));
            plan.push(Step::Undo(undo.without_container()));
        }
        if options.home() == Some(Home::Project) {
            // The label ties the volume to the project when both cage and directory are gone. An existing volume keeps its labels.
            let label = format!("{}={}", host.label, project.path);
            let home = home_volume(host, project, options);
            plan.push(Step::Try(runtime.command(["volume", "create", "--label", &label, &home])));
        }
        let spec = self.spec(context, name, options);
        let stays = !spec.engine_args.is_empty();
        let mut create = runtime.command(spec.create_args()).stdin(spec.env_file).stays(stays);
        if let Mapping::KeepId(_) = self.mapping {
            // podman copies an image when it is first used with these IDs, which takes minutes if it is large:
            // https://github.com/containers/podman/issues/20845
            create = create.slow("Preparing the image for your user, once");
        }
        plan.run(create);
        plan.push(Step::Undo(undo.plan(runtime, name)));
        if let Some(seed) = &self.seed {
            plan.say(format!("Seeding home directory from {seed}"));
        }
        // Cages of other projects may be preparing the same home.
        plan.extend(
            lock::path(host, &format!("{}.home", home_volume(host, project, options))).map(Step::Lock),
        );
        plan.push(self.prepare_home(context, name, options));
        plan
    }

    /// Returns the step that prepares the home, and renumbers the user in the container of this name if necessary.
    fn prepare_home(&self, context: &Context, name: &str, options: &CreateOptions) -> Step {
        let Context { host, runtime, project, .. } = *context;
        let preparation = Preparation {
            image: &host.image,
            volume: &home_volume(host, project, options),
            user: &self.user,
            mapping: self.mapping,
            flags: self.userns().into_iter().chain(self.security()).collect(),
            seed: self.seed.as_deref(),
            project: &project.path,
        };
        let prepare = preparation.command(runtime).slow("Making the home ready");
        match self.mapping {
            Mapping::AsIs | Mapping::KeepId(_) => Step::Run(prepare),
            Mapping::Renumber(_) => {
                let to = format!("{name}:/etc");
                let mut copy = vec!["cp"];
                copy.extend(runtime.kind.cp_flags());
                copy.extend(["-", &to]);
                Step::Pipe(prepare, runtime.command(copy))
            }
        }
    }

    /// Returns what to tell the user about the first cage of all.
    pub fn welcome(&self, host: &Host, options: &CreateOptions) -> Vec<String> {
        if !self.is_first || !host.terminal.stderr {
            return Vec::new();
        }
        let has_agent = match self.agent(host, options) {
            Some(Agent::Link(link)) => link.has_agent(),
            Some(Agent::Machine) => true,
            None => false,
        };
        let agent = if has_agent { ", your SSH agent" } else { "" };
        vec![
            format!("welcome! This cage can see this project{agent} and nothing else"),
            "  on your machine unless you add it".to_owned(),
            format!("  home:    {} in volume {}, shared by all cages", self.user.home, host.home_volume),
            format!("  leave:   `exit` stops it; {} detaches, `cage start` re-attaches", host.detach_keys),
            "  reset:   `cage restart` gives a clean box; project and home stay".to_owned(),
            "  promise: `cage help start`, and SECURITY.md in cage's repository".to_owned(),
        ]
    }

    /// Returns the warnings about this cage.
    fn warnings(&self, host: &Host, project: &Project, options: &CreateOptions) -> Vec<String> {
        let mut warnings = Vec::new();
        if !options.has(NO_SSH) {
            if !self.features.agent {
                let remedy = ssh_agent::remedy(self.engine.machine);
                warnings.push(format!(
                    "the engine can't mount your SSH agent's socket; continuing without it. {remedy}"
                ));
            } else if let Some(advice) = &self.advice {
                warnings.push(advice.clone());
            }
        }
        warnings.extend(isolation::weaknesses(host, options, &project.path));
        for other in self.cages_losing_home(&home_volume(host, project, options)) {
            warnings.push(format!(
                "the home that {other} uses, too, will belong to this project's owner, so that {other} can no longer write it; \
                 `--home project` gives this project a separate home"
            ));
        }
        let unenforced = options.limits().filter(|limit| self.engine.unenforced.contains(limit));
        warnings.extend(
            unenforced.map(|limit| format!("this engine can't limit {limit}: the cage may use any amount")),
        );
        if let GitDir::Refused(why) = &self.git {
            warnings.push(format!(
                "git won't work in the cage, because {}/.git is not used: {why}",
                project.path
            ));
        }
        warnings
    }

    /// Iterates over the mounted files and directories of the host, except the SSH agent.
    pub fn sources(&self, project: &Project, options: &CreateOptions) -> impl Iterator<Item = PathBuf> {
        let git = match &self.git {
            GitDir::Outside(dir) => Some(PathBuf::from(dir)),
            GitDir::None | GitDir::Inside | GitDir::Refused(_) => None,
        };
        [project.dir()].into_iter().chain(options.sources()).chain(git)
    }

    /// Returns whether the SSH agent's socket of a virtual machine is mounted.
    pub fn uses_machines_agent(&self, host: &Host, options: &CreateOptions) -> bool {
        self.agent(host, options) == Some(Agent::Machine)
    }

    /// Returns the other cages that can no longer write this home once it belongs to this project's owner.
    fn cages_losing_home(&self, volume: &str) -> impl Iterator<Item = &str> {
        let owner = self.mapping.inside(&self.user).to_string();
        // If the engine maps users, different IDs inside are the same user outside.
        let maps = matches!(self.mapping, Mapping::KeepId(_));
        let loses = move |other: &&Cage| {
            !maps
                && other.mount_point_of(volume).is_some()
                && other.label(OWNER_LABEL).is_some_and(|of| of != owner)
        };
        self.others.iter().filter(loses).map(|other| other.name.as_str())
    }

    /// Returns the flag that maps user IDs. Turns off docker's userns-remap, with which no user in the cage could write the project.
    fn userns(&self) -> Option<String> {
        self.mapping.flag().or_else(|| self.engine.remaps.then(|| "--userns=host".to_owned()))
    }

    /// Returns the flag that keeps `SELinux` from confining the container: relabelling the project would change it on the host, for good.
    fn security(&self) -> Option<String> {
        self.engine.selinux.then(|| home::UNCONFINED.to_owned())
    }

    pub(super) fn agent(&self, host: &Host, options: &CreateOptions) -> Option<Agent<'_>> {
        let decide = || Agent::decide(self.engine.machine, host.wsl, self.link.as_ref());
        (self.features.agent && !options.has(NO_SSH)).then(decide).flatten()
    }

    fn spec(&self, context: &Context, name: &str, options: &CreateOptions) -> ContainerSpec {
        let Context { host, runtime, project, .. } = *context;
        let mut mounts = vec![
            Mount::volume(home_volume(host, project, options), &self.user.home),
            Mount::path(&project.path, &project.path),
        ];
        if let GitDir::Outside(dir) = &self.git {
            mounts.push(Mount::path(dir, dir));
        }
        if let Some(agent) = self.agent(host, options).and_then(Agent::mount) {
            mounts.push(agent);
        }
        mounts.extend(options.mounts().cloned());
        let mut security: Vec<_> = self.security().into_iter().collect();
        if options.has(NO_ROOT) {
            security.push("--security-opt=no-new-privileges".to_owned());
        }
        ContainerSpec {
            name: name.to_owned(),
            hostname: project.name.clone(),
            workdir: project.path.clone(),
            image: host.image.clone(),
            labels: self.labels(context, options),
            user: (self.mapping != Mapping::AsIs)
                .then(|| self.user.name.clone())
                .filter(|name| !name.is_empty()),
            userns: self.userns(),
            security,
            group: self.group(host, project),
            cap_drop: if options.has(NO_ROOT) {
                vec!["ALL"]
            } else {
                engine_args::dropped(&options.engine_args)
            },
            options: options.to_engine_args(runtime.kind),
            engine_args: options.engine_args.clone(),
            add_host: self.add_host.clone(),
            mounts,
            publish: options.ports().cloned().collect(),
            env: self.variables(host, options),
            env_file: self.env.to_secret(options.variables()),
            init: self.features.init,
        }
    }

    /// Returns the labels that keep what the cage was made with.
    fn labels(&self, context: &Context, options: &CreateOptions) -> Vec<(String, String)> {
        let Context { host, project, .. } = *context;
        // A virtual machine has inode numbers of its own.
        let inode = self.engine.machine.is_none().then(|| project.inode.to_string());
        let keep_id = match self.mapping {
            Mapping::KeepId(ids) => ids.to_string(),
            Mapping::AsIs | Mapping::Renumber(_) => String::new(),
        };
        let labels = [
            (host.label.as_str(), project.path.clone()),
            (IMAGE_LABEL, host.image.clone()),
            (INODE_LABEL, inode.unwrap_or_default()),
            (OPTIONS_LABEL, options.to_label()),
            (DEFAULTS_LABEL, options.to_defaults_label()),
            (USER_LABEL, self.user.to_label()),
            (OWNER_LABEL, self.mapping.inside(&self.user).to_string()),
            (ENV_LABEL, self.env.digest()),
            (KEEP_ID_LABEL, keep_id),
        ];
        let labels = labels.into_iter().chain(self.baseline.labels());
        labels.map(|(label, value)| (label.to_owned(), value)).collect()
    }

    /// Returns the project's group, where the user can write the project only as a member of that group.
    fn group(&self, host: &Host, project: &Project) -> Option<u32> {
        let Mapping::Renumber(person) = self.mapping else { return None };
        (project.gid != person.gid && project.gid != 0 && host.groups.contains(&project.gid))
            .then_some(project.gid)
    }
}

/// Returns the image's user and, if the image's user can't write the project, the owner that the project seems to have inside.
fn image_user(
    session: &Session,
    context: &Context,
    old: Option<&Cage>,
    engine: &Engine,
) -> Result<(ImageUser, Option<Ids>)> {
    let same = old.filter(|old| context.image.is_some_and(|image| image.id == old.image_id));
    let known = same
        .and_then(|old| Some((ImageUser::from_label(old.label(USER_LABEL)?)?, old.ids(OWNER_LABEL).ok()?)));
    match known {
        Some(known) => Ok(known),
        None if session.global.dry_run && context.image.is_none() => {
            console::warn(
                "the image is not here yet: assuming that its user is vscode, as in the published one",
            );
            Ok((ImageUser::published(), None))
        }
        None => {
            let directory = engine.machine.is_some().then_some(context.project.path.as_str());
            ImageUser::probe(context.runtime, session.runner, &context.host.image, directory)
        }
    }
}
