//! The description of a new cage's container.

use serde_json::json;

use crate::cage::engine_args;
use crate::cage::existing::{
    DEFAULTS_LABEL, ENGINE_LABEL, ENV_LABEL, IMAGE_LABEL, INODE_LABEL, KEEP_ID_LABEL, OPTIONS_LABEL,
    OWNER_LABEL, SEEN_LABEL, SINCE_LABEL, TERMINAL_LABEL, USER_LABEL,
};
use crate::cage::image_facts::NAMELESS;
use crate::cage::options::NO_ROOT;
use crate::cage::ssh_agent::Agent;
use crate::cage::user::Mapping;
use crate::engine::info::{Mode, Product};
use crate::engine::mount::Mount;
use crate::engine::spec::ContainerSpec;
use crate::host::machine::Host;
use crate::lifecycle::context::Context;
use crate::lifecycle::new_cage::NewCage;

impl NewCage<'_> {
    pub(super) fn spec(&self, name: &str) -> ContainerSpec {
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
            // Code in the cage may be able to write /etc/passwd: a name could become root's there.
            user: if no_root {
                Some(self.mapping.inside(&self.user).to_string())
            } else {
                has_user.then(|| self.user.name.clone())
            },
            userns: self.userns(),
            security: self.security().into_iter().chain(no_new_privileges).chain(seccomp).collect(),
            group: self.group(),
            cap_drop: if no_root { vec!["ALL"] } else { engine_args::dropped(&options.engine_args) },
            options: options.to_engine_args(runtime.kind, &self.preflight.engine.unenforced),
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
        let inode = self.preflight.engine.machine.is_none().then(|| project.inode.to_string());
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
            (ENGINE_LABEL, json!(self.preflight.engine).to_string()),
        ];
        labels.map(|(label, value)| (label.to_owned(), value)).into()
    }

    /// Returns the project's group, if the user can write the project only as a member of that group.
    fn group(&self) -> Option<u32> {
        let Mapping::Renumber(person) = self.mapping else { return None };
        let Context { session, project, .. } = self.context;
        let Host { groups, powerful_groups, .. } = &session.host;
        // Code in an earlier cage may have given the directory to any group.
        // On another machine the number may be that of another group, and a rootless engine maps it to a group of nobody.
        let is_harmless = self.preflight.engine.machine != Some(Product::Elsewhere)
            && self.preflight.engine.mode == Mode::Rootful
            && groups.contains(&project.owner.gid)
            && !powerful_groups.contains(&project.owner.gid);
        (project.owner.gid != person.gid && is_harmless).then_some(project.owner.gid)
    }
}
