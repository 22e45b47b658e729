//! Files and directories that a scan can't read: the report must not be empty and complete.

use super::*;

#[cfg(target_os = "linux")]
pub mod lease {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A write lease on a file, held by another process. While it lasts, opening the file without waiting fails.
    pub struct Lease(Child);

    const HOLD: &str = r#"
        $SIG{IO} = 'IGNORE'; $| = 1;
        open(F, '<', $ARGV[0]) or die;
        fcntl(F, 1024, 1) or die;  # F_SETLEASE, F_WRLCK
        print "held\n"; sleep 60;
    "#;

    impl Lease {
        #[expect(clippy::disallowed_methods, reason = "a test needs another process")]
        pub fn on(path: PathBuf) -> Self {
            let mut perl = Command::new("perl")
                .args(["-e", HOLD])
                .arg(path)
                .stdout(Stdio::piped())
                .spawn()
                .expect("perl, which git needs as well");
            let mut line = String::new();
            BufReader::new(perl.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "held\n", "the file system of the temporary directory has leases");
            Self(perl)
        }
    }

    impl Drop for Lease {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_file_with_a_lease_makes_a_report_incomplete() {
        for (file, text) in [
            (".git/config", "[core] fsmonitor = ./x\n"),
            (".git/commondir", "../evil\n"),
            (".git/info/attributes", "* filter=evil\n"),
            (".git/hooks/pre-commit", "#!/bin/sh\n"),
            (".gitattributes", "* filter=evil\n"),
            (".gitmodules", "[submodule \"a\"] update = !x\n"),
            (".envrc", "x"),
            ("deep/.git", "gitdir: ../evil\n"),
            ("deep/.git/config", "[core] fsmonitor = ./x\n"),
        ] {
            let project = Project::repository();
            project.program(file, text);
            let scope = if file.starts_with("deep") { Scope::Whole } else { Scope::Top };
            let before = project.scan(scope);
            assert_eq!(before.incomplete, None, "{file}: the control");
            assert!(!before.findings.is_empty(), "{file}: the control");
            let lease = Lease::on(project.path(file));
            let incomplete = project.scan(scope).incomplete.unwrap_or_default();
            assert!(
                incomplete.starts_with(&format!("{file} can't be read while another")),
                "{file}: {incomplete}"
            );
            drop(lease);
            assert_eq!(project.found(scope).len(), before.findings.len(), "{file}");
        }
    }

    #[test]
    fn a_known_file_with_a_lease_is_new() {
        let project = Project::repository();
        project.write(".envrc", "x");
        let record = project.record();
        let new = || record.new_among(&project.scan(Scope::Top).findings).len();
        assert_eq!(new(), 0, "the control");
        let _lease = Lease::on(project.path(".envrc"));
        assert_eq!(new(), 1);
    }
}

/// Returns why a report is incomplete when `path` can't be accessed; `None` for root, who can.
fn closed(project: &Project, path: &str, scope: Scope) -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let mode = fs::metadata(project.path(path)).unwrap().permissions().mode();
    project.mode(path, 0o000);
    let report = project.scan(scope);
    project.mode(path, mode);
    Some(report.incomplete.unwrap_or_default())
}

#[test]
fn files_and_directories_without_permission_make_a_report_incomplete() {
    for path in [
        ".git",
        ".git/config",
        ".git/hooks",
        ".git/info",
        ".git/modules",
        ".git/worktrees",
        ".git/rebase-merge",
        ".vscode",
        ".envrc",
        ".gitattributes",
    ] {
        let project = Project::repository();
        project
            .program(".git/hooks/pre-commit", "")
            .write(".git/info/attributes", "* filter=evil")
            .write(".git/modules/a/HEAD", "")
            .write(".git/worktrees/a/HEAD", "")
            .write(".git/rebase-merge/git-rebase-todo", "exec x")
            .write(".vscode/tasks.json", "")
            .write(".envrc", "")
            .write(".gitattributes", "");
        assert_eq!(project.scan(Scope::Top).incomplete, None, "the control");
        if let Some(incomplete) = closed(&project, path, Scope::Top) {
            assert!(
                incomplete.contains(path) && incomplete.contains("can't be read"),
                "{path}: {incomplete:?}"
            );
        }
    }
    let project = Project::new();
    project.write("closed/x", "");
    if let Some(incomplete) = closed(&project, "closed", Scope::Whole) {
        assert!(incomplete.starts_with("closed can't be read"), "{incomplete}");
    }
}

#[test]
fn only_an_absent_file_counts_as_absent() {
    use super::limits::is_absent;
    use rustix::io::Errno;

    for error in [Errno::NOENT, Errno::NOTDIR, Errno::LOOP] {
        assert!(is_absent(error), "{error}");
    }
    for error in
        [Errno::ACCESS, Errno::PERM, Errno::AGAIN, Errno::IO, Errno::MFILE, Errno::NXIO, Errno::STALE]
    {
        assert!(!is_absent(error), "{error}");
    }
}

#[test]
fn a_repository_that_may_be_used_but_not_listed_is_scanned() {
    let project = Project::repository();
    project.config("[core] pager = x\n").mode(".git", 0o311);
    let report = project.scan(Scope::Top);
    project.mode(".git", 0o755);
    if cfg!(target_os = "linux") {
        assert_eq!(report.findings.len(), 1);
    } else {
        assert!(report.findings.len() == 1 || report.incomplete.is_some());
    }
}
