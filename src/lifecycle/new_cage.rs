//! The facts that decide about a new cage.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Result, ensure};

use crate::audit::Record;
use crate::base::error::Failure;
use crate::base::{console, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, OWNER_LABEL};
use crate::cage::home::home_volume;
use crate::cage::image_facts::{ImageFacts, Memory, Outside};
use crate::cage::mount_points::MountPoints;
use crate::cage::options::{NO_ROOT, NO_SSH};
use crate::cage::ssh_agent::{Agent, Link};
use crate::cage::user::{ImageUser, Mapping};
use crate::cage::{accounts, home, seccomp, ssh_agent, user};
use crate::engine::container::State;
use crate::engine::image::Image;
use crate::engine::info::{Engine, Mode, Product};
use crate::engine::new_file::NewFile;
use crate::host::ids::Ids;
use crate::host::machine;
use crate::host::worktree::GitDir;
use crate::lifecycle::baseline::Baseline;
use crate::lifecycle::context::Context;
use crate::lifecycle::elsewhere;
use crate::lifecycle::mount_points;
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::worktrees::Worktrees;

/// The facts that decide about a new cage.
#[derive(Debug)]
pub struct NewCage<'a> {
    /// The project, the engine and the image.
    pub context: Context<'a>,
    /// The options of the cage.
    pub options: CreateOptions,
    /// The facts that are known before the image is pulled.
    pub preflight: Preflight,
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
    /// The path and the text of the file that keeps this record, if it has to be written.
    pub baseline: Option<(PathBuf, String)>,
    /// The entry for the host's name, if the engine adds none.
    pub add_host: Option<String>,
    /// The other worktrees of the project's repository.
    pub worktrees: Worktrees,
    /// Whether files that the image's user creates belong to root, and not to the user outside.
    pub roots_files: bool,
    /// The files of the image's user outside of the home, if the user has another ID in the cage.
    pub outside: Outside,
    /// The mount points that lie in other mounts.
    pub points: MountPoints,
    /// The cages to pause while files are copied into the container.
    pub writers: Vec<Cage>,
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
        let engine = &preflight.engine;
        check_annotations(context.image, &options)?;
        let git = preflight.git.clone();
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
        let (facts, is_first) = image_facts(context, old, engine, &options.image(), &preflight.endpoint)?;
        let baseline = Baseline::of(host, project, old, git.outside())?;
        let person = user::person(host, baseline.owner(host, project));
        let user = facts.user.clone();
        let mapping = mapping(context, engine, &facts, &options, person)?;
        let has_other_id = matches!(mapping, Mapping::Renumber(ids) if ids.uid != 0);
        let outside = if has_other_id { facts.outside() } else { Outside::default() };
        // On this machine, the same group ID may belong to a group with power.
        let keeps_group = !outside.files.is_empty()
            && !options.has(NO_ROOT)
            && !host.powerful_groups.contains(&user.ids.gid);
        // One message is enough for an image.
        let outside = if outside.has_more && !is_first { Outside::default() } else { outside };
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
        let has_init = options.has_processes() && !runtime.kind.lacks_init(host);
        let has_name = !options.has(NO_ROOT) || runtime.names_host(session.runner)?;
        let mut new_files = new_files(context, mapping, keeps_group, &facts, preflight)?;
        new_files.extend(worktrees.placeholders().iter().map(|path| NewFile::readable(path, "")));
        let add_host = || runtime.kind.add_host(engine, has_name, machine::address);
        let add_host = options.has_hosts().then(add_host).flatten();
        let points = mount_points::gather(context, &options, git.outside(), &user.home, inside)?;
        let copies = engine.copies_through_links && !new_files.is_empty();
        Ok(Self {
            context,
            writers: if copies { writers(context, old, &points)? } else { Vec::new() },
            points,
            seccomp: seccomp::filter(host, runtime.kind, engine, &options),
            options,
            new_files,
            mapping,
            git,
            notes,
            link,
            advice: ssh_agent::advice(engine.machine, &preflight.endpoint),
            seed,
            features: Features { init: features.init && has_init, ..features },
            record: baseline.record(),
            baseline: baseline.to_file(host, project),
            add_host,
            roots_files,
            outside,
            worktrees,
            preflight: preflight.clone(),
            user,
        })
    }
}

impl NewCage<'_> {
    /// Returns the name of the volume that is the cage's home.
    pub(super) fn home(&self) -> String {
        home_volume(&self.context.session.host, self.context.project, &self.options)
    }

    /// Returns the other cages that can no longer write this home once it belongs to this project's owner.
    pub(super) fn cages_losing_home(&self) -> impl Iterator<Item = &str> {
        let (volume, owner) = (self.home(), self.mapping.inside(&self.user).to_string());
        // If the engine can map users, different IDs in the containers are the same host user.
        let maps = self.preflight.engine.mode == Mode::Rootless && self.context.runtime.kind.keeps_ids();
        let loses = move |other: &&Cage| {
            !maps
                && other.mount_point_of(&volume).is_some()
                && other.label(OWNER_LABEL).is_some_and(|of| of != owner)
        };
        self.preflight.others.iter().filter(loses).map(|other| other.name.as_str())
    }

    /// Returns the flag that maps user IDs, or turns off docker's userns-remap: no user in the cage could write the project with
    /// it.
    pub(super) fn userns(&self) -> Option<String> {
        self.mapping.flag().or_else(|| self.preflight.engine.remaps.then(|| "--userns=host".to_owned()))
    }

    /// Returns the flag that keeps `SELinux` from confining the container: relabelling the project would change it on the host, for
    /// good.
    pub(super) fn security(&self) -> Option<String> {
        self.preflight.engine.selinux.then(|| home::UNCONFINED.to_owned())
    }

    /// Returns the mount of the SSH agent, if the cage has one.
    pub(super) fn agent(&self) -> Option<Agent<'_>> {
        let wsl = self.context.session.host.wsl;
        let decide = || Agent::decide(self.preflight.engine.machine, wsl, self.link.as_ref());
        (self.features.agent && !self.options.has(NO_SSH)).then(decide).flatten()
    }
}

/// Checks that the image doesn't choose its own isolation.
fn check_annotations(image: Option<&Image>, options: &CreateOptions) -> Result<()> {
    let order = image.and_then(Image::order);
    ensure!(
        order.is_none(),
        Failure::new(format!(
            "the image {} has the annotation {}, by which it would choose its own isolation",
            options.image(),
            text::escape(order.unwrap_or_default())
        ))
        .hint("build it without that annotation")
    );
    Ok(())
}

/// Returns the mapping of the image's user to the `person` outside.
fn mapping(
    context: Context,
    engine: &Engine,
    ImageFacts { user, seen_owner, .. }: &ImageFacts,
    options: &CreateOptions,
    person: Ids,
) -> Result<Mapping> {
    let Context { runtime, project, .. } = context;
    let mut mapping = Mapping::decide(runtime.kind, engine, user, person, *seen_owner);
    if options.joins_container() {
        mapping = mapping.without_namespace(user);
    }
    let has_own_ids = matches!(engine.machine, None | Some(Product::Elsewhere));
    if !options.has(NO_ROOT) || engine.mode == Mode::Rootless || !has_own_ids {
        return Ok(mapping);
    }
    mapping.without_root(user, person).ok_or_else(|| {
        let path = text::escape(&project.path);
        // Otherwise the directory was root's before its first cage, and has been given away since.
        let hint = if project.owner.uid == 0 {
            "give the directory to an ordinary user (`chown -R`), or use an engine without root"
        } else {
            "if you gave the directory to its owner, remove the file that the warning names"
        };
        Failure::new(format!(
            "--no-root is not possible here: the user in the cage needs root's number to write the project {path}"
        ))
        .hint(hint)
        .into()
    })
}

/// Returns the files to put into the container before it starts.
fn new_files(
    context: Context,
    mapping: Mapping,
    keeps_group: bool,
    facts: &ImageFacts,
    preflight: &Preflight,
) -> Result<Vec<NewFile>> {
    let user = &facts.user;
    let has_files = context.image.is_some() || !context.session.global.dry_run;
    let is_changed = matches!(mapping, Mapping::Renumber(_)) || facts.lacks_user();
    let mut files = Vec::new();
    if is_changed && has_files {
        files.extend(accounts::renumbered(facts, mapping.inside(user), keeps_group)?);
    }
    files.extend(preflight.personal.files(facts));
    Ok(files)
}

/// Returns the running cages in which code can change the way to a mount point. Those of the project that are not `old` will be
/// removed before.
fn writers(context: Context, old: Option<&Cage>, points: &MountPoints) -> Result<Vec<Cage>> {
    let Context { session, runtime, project, .. } = context;
    if !points.may_be_shared() {
        return Ok(Vec::new());
    }
    let stays = |cage: &Cage| cage.final_name() != project.name || old.is_some_and(|old| old.id == cage.id);
    let mut cages = session.cages(runtime)?;
    cages.retain(|cage| cage.state == State::Running && stays(cage) && points.are_in_reach_of(cage));
    Ok(cages)
}

/// Returns the facts about this image of the engine at `endpoint`, and whether they had to be queried. `old` is the cage to be
/// replaced.
fn image_facts(
    context: Context,
    old: Option<&Cage>,
    engine: &Engine,
    name: &str,
    endpoint: &str,
) -> Result<(ImageFacts, bool)> {
    let Context { session, runtime, project, image } = context;
    let (host, runner) = (&session.host, session.runner);
    let directory = engine.machine.is_some().then_some(project.path.as_str());
    let Some(image) = image else {
        if session.global.dry_run {
            console::warn(
                "the image is not here yet: assuming that its user is vscode, as in the published one, with your IDs",
            );
            return Ok((ImageFacts::published(), false));
        }
        return Ok((ImageFacts::ask(runtime, runner, name, directory)?, true));
    };
    let memory = Memory::of(host, runtime, endpoint, &image.id);
    // In a virtual machine the owner of the project can differ; a cage of the same image has recorded it.
    let same = old.filter(|old| old.image_id == image.id);
    let seen_owner = same.and_then(|old| old.ids(OWNER_LABEL).ok()?);
    let remembered = memory.as_ref().filter(|_| directory.is_none() || seen_owner.is_some());
    if let Some(facts) = remembered.and_then(Memory::read) {
        return Ok((ImageFacts { seen_owner, ..facts }, false));
    }
    let facts = match memory {
        Some(memory) if !session.global.dry_run => memory.ask(runtime, runner, &image.id, directory),
        _ => ImageFacts::ask(runtime, runner, &image.id, directory),
    };
    Ok((facts?, true))
}
