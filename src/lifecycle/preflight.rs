//! The checks before the image of a new cage is pulled.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::base::{console, file, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::Cage;
use crate::cage::home::home_volume;
use crate::cage::options::{ALLOW_DANGEROUS_DIR, ALLOW_NESTED, NO_GIT_IDENTITY};
use crate::cage::personal::{Identity, Personal, SigningKey};
use crate::cage::{engine_args, isolation, named_places, nesting, option_files};
use crate::engine::info::Engine;
use crate::engine::place::Place;
use crate::engine::runtime::Runtime;
use crate::host::project::Project;
use crate::host::reach::Reach;
use crate::host::worktree::GitDir;
use crate::lifecycle::baseline::Baseline;
use crate::lifecycle::belonging::Record;
use crate::lifecycle::context::Context;
use crate::lifecycle::find::Existing;
use crate::lifecycle::session::Session;

/// The facts about a new cage that are known before its image is pulled.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// The variables from env files.
    pub(super) env: EnvFiles,
    /// The address of the engine.
    pub(super) endpoint: String,
    /// The properties of the engine.
    pub(super) engine: Engine,
    /// The directory that git needs besides the project.
    pub(super) git: GitDir,
    /// The other cages.
    pub(super) others: Vec<Cage>,
    /// Messages about what the user may want to do.
    pub(super) suggestions: Vec<String>,
    /// What the cage gets from the user's settings of git and SSH.
    pub(super) personal: Personal,
    /// The directory of the volume that is to be the home, on the engine's machine, if the volume exists.
    pub(super) home: Option<PathBuf>,
    /// Whether this is the first cage: there is no shared home yet.
    pub(super) is_first: bool,
    /// What cage remembers of the engine.
    pub(super) records: Vec<Record>,
    /// Whether an engine on another machine is known to have the project.
    pub(super) proved: bool,
}

impl Preflight {
    /// Checks, with an `image` that is there already, that an engine on another machine has the project. Without one nothing is
    /// checked yet.
    ///
    /// # Errors
    /// As [`Context::prove_if_elsewhere`].
    pub fn prove(&mut self, context: Context, image: Option<&str>) -> Result<()> {
        if let Some(image) = image {
            context.prove_if_elsewhere(image, &self.git)?;
            self.proved = true;
        }
        Ok(())
    }

    /// Reads the env files, and checks the engine's place, the other cages and the home. Asks for nothing that
    /// was `found` before.
    ///
    /// # Errors
    /// When the cage can't be created.
    pub fn gather(
        session: &Session,
        runtime: &Runtime,
        project: &Project,
        options: &CreateOptions,
        found: &Existing,
    ) -> Result<Self> {
        let (host, runner) = (&session.host, session.runner);
        project.check(host, options.has(ALLOW_DANGEROUS_DIR))?;
        isolation::check_mounts(host, options, Path::new(&project.path))?;
        options.check_ports()?;
        let env = EnvFiles::read(host, project)?;
        let endpoint = runtime.endpoint(host, runner)?;
        if runtime.is_unprotected(host, runner, &endpoint)? {
            console::warn(&format!(
                "{} is not protected: anyone in the network can use that engine (ssh:// and TLS are)",
                text::escape(&endpoint)
            ));
        }
        let home = home_volume(host, project, options);
        let known = found.volume.as_ref().filter(|volume| volume.name == home);
        let ask = || known.map_or_else(|| runtime.volume(runner, &home), |known| Ok(Some(known.clone())));
        let engine_and_home = || runtime.ask_both(|| runtime.engine(host, runner), ask);
        let cages = || session.cages_knowing(runtime, found.cage.as_ref());
        let ((engine, volume), mut others) = runtime.ask_both(engine_and_home, cages)?;
        let is_own = |cage: &&Cage| cage.final_name() == project.name;
        let own: Vec<String> = others.iter().filter(is_own).flat_map(Cage::writable_sources).collect();
        others.retain(|cage| !is_own(&cage));
        let git = match GitDir::of(&project.dir()) {
            git if options.has(ALLOW_NESTED) || own.iter().any(|own| git.outside() == Some(own)) => git,
            git => {
                let git = nesting::check_repository(git, &others, &host.reach()?);
                let first = Baseline::kept(host, project)?;
                first.iter().fold(git, |git, first| first.check_repository(git))
            }
        };
        let written = Written { session, runtime, project, options, git: &git, own, others: &others };
        let places = written.places()?;
        let reach = places.iter().map(PathBuf::from).chain(host.reach()?).collect();
        written.check_reach(&reach)?;
        let mut personal = Personal::gather(host, project, &reach);
        if options.has(NO_GIT_IDENTITY) {
            personal.identity = Identity::default();
        }
        if !session.global.dry_run {
            host.keep_reach(runtime.kind.program(), places);
        }
        if !options.has(ALLOW_NESTED) {
            nesting::check_nested(project, options, &others)?;
            // The reach also has the places of removed cages.
            let links: Vec<_> =
                file::links(&project.reached).into_iter().chain(options.links.clone()).collect();
            nesting::check_links(&links, &host.reach()?)?;
        }
        let shares_home = home == host.home_volume;
        let is_first = volume.is_none() && shares_home;
        nesting::check_home(volume.as_ref())?;
        let mut suggestions = option_files::suggestions(host, project, options);
        suggestions
            .extend(personal.signing_key.iter().filter(|key| key.is_always).flat_map(SigningKey::advice));
        let place = Place::new(runtime.kind, &endpoint, host);
        if is_first {
            session.check_new_home(runtime, &place)?;
        }
        Ok(Self {
            env,
            engine,
            git,
            others,
            suggestions,
            personal,
            home: volume.map(|volume| volume.directory),
            is_first,
            records: session.records(runtime, &place, &project.name, shares_home)?,
            endpoint,
            proved: false,
        })
    }
}

/// What a new cage and the cages that exist can write.
#[derive(Debug)]
struct Written<'a> {
    session: &'a Session,
    runtime: &'a Runtime,
    project: &'a Project,
    options: &'a CreateOptions,
    git: &'a GitDir,
    /// The places of the project's own cage.
    own: Vec<String>,
    others: &'a [Cage],
}

impl Written<'_> {
    /// Returns the places that the cages can write, and checks those of the new one.
    fn places(&self) -> Result<Vec<String>> {
        let Self { session, runtime, project, options, git, own, others } = self;
        let sources =
            options.mounts().filter(|mount| !mount.is_readonly()).filter_map(|mount| mount.source_path());
        let places = sources.chain([project.path.as_str()]).chain(git.outside()).map(str::to_owned);
        let places = places.chain(own.iter().cloned());
        let places: Vec<String> = places.collect();
        nesting::check_links(&options.links, &places)?;
        runtime.check_outside(&places)?;
        if !options.has(ALLOW_DANGEROUS_DIR) {
            named_places::check(&session.host, &places.iter().map(PathBuf::from).collect())?;
        }
        let places: Vec<String> = others.iter().flat_map(Cage::writable_sources).chain(places).collect();
        option_files::check_places(&session.host, options, &places)?;
        Ok(places)
    }

    /// Checks the files and mounts that the engine's own arguments name.
    fn check_reach(&self, reach: &Reach) -> Result<()> {
        let Self { session, project, options, .. } = self;
        let here = session.host.cwd.as_deref().unwrap_or(Path::new("/"));
        engine_args::check_files(&options.engine_args, here, reach)?;
        let written = engine_args::written(&options.engine_args, here);
        nesting::check_written(written.iter().map(String::as_str), &project.path, options)
    }
}

#[cfg(test)]
impl Preflight {
    /// Returns the facts about the first cage of an engine on this machine.
    pub fn sample(engine: Engine) -> Self {
        Self {
            engine,
            git: GitDir::None,
            env: EnvFiles::default(),
            endpoint: String::new(),
            others: Vec::new(),
            suggestions: Vec::new(),
            personal: Personal::default(),
            home: None,
            is_first: false,
            records: Vec::new(),
            proved: false,
        }
    }
}
