//! The mount points of a cage that lie in other mounts: found before it is made, and created before it starts.

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::mount_point::MountPoint;
use crate::base::text;
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::home::home_volume;
use crate::cage::mount_points::MountPoints;
use crate::cage::{engine_args, home, user};
use crate::engine::args::{Content, Place};
use crate::engine::mount::Mount;
use crate::host::ids::Ids;
use crate::host::worktree::GitDir;
use crate::lifecycle::context::Context;
use crate::lifecycle::plan::Step;

/// Returns the mount points of a cage with these options, whose user has this home and these IDs, and which mounts a `repository`
/// outside the project. Only those volumes remain that cage has to give to the user.
///
/// # Errors
/// When a mount point can't be used or created.
pub(super) fn gather(
    context: Context,
    options: &CreateOptions,
    repository: Option<&str>,
    home: &str,
    inside: Ids,
) -> Result<MountPoints> {
    let Context { session, runtime, project, .. } = context;
    let places = places(home, &project.path, repository, options);
    let mut points = MountPoints::of(home, &places)?;
    points.here.iter().try_for_each(MountPoint::check)?;
    // The volumes that an image asks for are mounted, too.
    let mut of_image = context.image.into_iter().flat_map(|image| &image.volumes);
    if !points.in_home.is_empty() || of_image.any(|path| home::below(home, path).is_some()) {
        points.outer_volumes.push(home_volume(&session.host, project, options));
    }
    if inside.uid == 0 {
        points.volumes.clear();
        points.in_volumes.clear();
    }
    let mut volumes = Vec::new();
    for (name, path) in points.volumes {
        // A volume with options can be a directory of the host.
        let volume = if name.is_empty() { None } else { runtime.volume(session.runner, &name)? };
        match volume {
            None => volumes.push((String::new(), path)),
            Some(volume) if volume.is_plain => volumes.push((name, path)),
            Some(_) => {}
        }
    }
    let tmpfs = places.iter().find(|place| place.content == Content::Tmpfs && !runtime.kind.shares_tmpfs());
    if let Some(Place { target, .. }) = tmpfs.filter(|_| !volumes.is_empty() || !points.in_volumes.is_empty())
    {
        let target = text::escape(target);
        bail!(
            Failure::new(format!("docker can't share volumes beside `--mount type=tmpfs,target={target}`"))
                .hint(format!("write `--tmpfs {target}`"))
        );
    }
    Ok(MountPoints { volumes, ..points })
}

/// Returns the steps that create the mount points of a stopped cage again where they are missing.
///
/// # Errors
/// When one can't be used or created, or the labels of the cage can't be read.
pub(super) fn restore(context: Context, cage: &Cage, kept: &CreateOptions) -> Result<Vec<Step>> {
    let Context { session, runtime, project, .. } = context;
    let volume = home_volume(&session.host, project, kept);
    let Some(home) = cage.mount_point_of(&volume) else { return Ok(Vec::new()) };
    let git = GitDir::of(&project.dir());
    let mut points = MountPoints::of(home, &places(home, &project.path, git.outside(), kept))?;
    points.here.iter().try_for_each(MountPoint::check)?;
    points.in_home.retain(|(rest, _)| home::below(home, &project.path) != Some(rest));
    let mut steps = steps(context, &points);
    if !points.in_home.is_empty() {
        steps.push(Step::Run(home::make_mount_points(runtime, cage, &volume, home, &points)?));
    }
    Ok(steps)
}

/// Returns the places of all mounts of a cage with these options.
pub(super) fn places(
    home: &str,
    project: &str,
    repository: Option<&str>,
    options: &CreateOptions,
) -> Vec<Place> {
    let own = [Mount::volume("", home), Mount::path(project, project)].into_iter();
    let own = own.chain(repository.map(|repository| Mount::path(repository, repository)));
    let own = own.map(|mount| mount.place());
    let chosen = options.mounts().map(Mount::place).chain(engine_args::places(&options.engine_args));
    own.chain(chosen).collect()
}

/// Returns the steps that create the mount points on this machine. They belong to the user, also when root runs cage.
pub(super) fn steps(context: Context, points: &MountPoints) -> Vec<Step> {
    let host = &context.session.host;
    let person = (host.ids.uid == 0).then(|| user::person(host, context.project.owner));
    let owner = person.map(|Ids { uid, gid }| (uid, gid));
    points.here.iter().map(|point| Step::MakeMountPoint(point.clone(), owner)).collect()
}
