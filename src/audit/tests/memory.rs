//! What is new, and how it is told.

use super::*;

#[test]
fn what_was_there_is_remembered_and_a_change_is_new() {
    let project = Project::repository();
    project
        .config("[core] pager = ./tool less\n")
        .write("tool", "1")
        .program(".git/hooks/pre-commit", "1")
        .write(".envrc", "1");
    let near = || project.look(Scope::Near).findings;
    let label = seen_label(&near());
    assert_eq!(label.len(), SALT + 3 * DIGEST);
    let new = || {
        let new = unseen(near(), Some(&label));
        new.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(new(), NOTHING);
    project.write(".git/hooks/pre-commit", "2");
    assert_eq!(new(), [".git/hooks/pre-commit"]);
    project.write(".git/hooks/pre-commit", "1").write(".envrc", "2").write("tool", "2");
    assert_eq!(new(), [".envrc", ".git/config"]);
    project.write(".envrc", "1").write("tool", "1").config("[core] pager = ./tool less\n[core] editor = x\n");
    assert_eq!(new(), [".git/config"]);

    assert_eq!(unseen(near(), None).len(), 4);
    assert_eq!(unseen(near(), Some("")).len(), 4);
    assert_eq!(unseen(near(), Some("é nonsense éé")).len(), 4);
    assert_eq!(seen_label(&[]), "");
    // Nobody who is in the cage can tell what has which digest.
    assert_ne!(seen_label(&near())[SALT..], seen_label(&near())[SALT..]);
}

#[test]
fn too_much_to_remember_is_told() {
    let project = Project::repository();
    let config = (0..600).fold(String::new(), |text, n| format!("{text}[alias] a{n} = x\n"));
    project.config(&config);
    let findings = project.look(Scope::Near).findings;
    let label = seen_label(&findings);
    assert!(label.len() <= 4096 && is_incomplete(&label));
    assert_eq!(unseen(findings, Some(&label)).len(), 600 - (4095 - SALT) / DIGEST);
    assert!(!is_incomplete(&seen_label(&project.look(Scope::Near).findings[..5])));
}

#[test]
fn deep_in_the_tree_time_tells_what_is_new() {
    let project = Project::new();
    project.write("a/.envrc", "").write(".envrc", "");
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let new = |since| {
        let report = look(&project.path(""), Scope::Whole, since);
        let label = seen_label(&look(&project.path(""), Scope::Near, None).findings);
        unseen(report.findings, Some(&label)).into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(new(Some(now + 100)), NOTHING);
    assert_eq!(new(Some(now - 100)), ["a/.envrc"]);
    assert_eq!(new(None), ["a/.envrc"]);
    // A time that a program can set doesn't count.
    let file = fs::File::open(project.path("a/.envrc")).unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(new(Some(now - 100)), ["a/.envrc"]);
}

#[test]
fn a_short_report_is_short() {
    let project = Project::new();
    assert_eq!(short_report(&project.look(Scope::Near).findings), NOTHING);
    project.write(".envrc", "");
    assert_eq!(short_report(&project.look(Scope::Near).findings).len(), 3);
    for n in 0..10 {
        project.write(&format!("{n}.code-workspace"), "");
    }
    let lines = short_report(&project.look(Scope::Near).findings);
    assert_eq!(lines.len(), 5);
    assert!(lines[4].contains("and 8 more"), "{lines:?}");
}
