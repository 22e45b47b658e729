//! Which findings are new, and the short report of them.

use super::*;

#[test]
fn recorded_findings_are_not_new_until_they_change() {
    let project = Project::repository();
    project
        .config("[core] pager = ./tool less\n")
        .write("tool", "1")
        .program(".git/hooks/pre-commit", "1")
        .write(".envrc", "1");
    let top = || project.scan(Scope::Top).findings;
    let label = to_label(&top());
    assert_eq!(label.len(), SALT + 3 * DIGEST);
    let new = || {
        let new = new_findings(top(), Some(&label));
        new.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(new(), NOTHING);
    project.write(".git/hooks/pre-commit", "2");
    assert_eq!(new(), [".git/hooks/pre-commit"]);
    project.write(".git/hooks/pre-commit", "1").write(".envrc", "2").write("tool", "2");
    assert_eq!(new(), [".envrc", ".git/config"]);
    project.write(".envrc", "1").write("tool", "1").config("[core] pager = ./tool less\n[core] editor = x\n");
    assert_eq!(new(), [".git/config"]);

    assert_eq!(new_findings(top(), None).len(), 4);
    assert_eq!(new_findings(top(), Some("")).len(), 4);
    assert_eq!(new_findings(top(), Some("é nonsense éé")).len(), 4);
    assert_eq!(to_label(&[]), "");
    // Without the salt, the digest of a finding is unknown.
    assert_ne!(to_label(&top())[SALT..], to_label(&top())[SALT..]);
}

#[test]
fn a_label_without_room_for_all_findings_says_so() {
    let project = Project::repository();
    let config = (0..600).fold(String::new(), |text, n| format!("{text}[alias] a{n} = x\n"));
    project.config(&config);
    let findings = project.scan(Scope::Top).findings;
    let label = to_label(&findings);
    assert!(label.len() <= 4096 && is_cut(&label));
    assert_eq!(new_findings(findings, Some(&label)).len(), 600 - (4095 - SALT) / DIGEST);
    assert!(!is_cut(&to_label(&project.scan(Scope::Top).findings[..5])));
}

#[test]
fn below_the_top_the_time_of_the_last_change_tells_what_is_new() {
    let project = Project::new();
    project.write("a/.envrc", "").write(".envrc", "");
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let new = |since| {
        let report = scan(&project.path(""), Scope::Whole, since);
        let label = to_label(&scan(&project.path(""), Scope::Top, None).findings);
        new_findings(report.findings, Some(&label))
            .into_iter()
            .map(|finding| finding.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(new(Some(now + 100)), NOTHING);
    assert_eq!(new(Some(now - 100)), ["a/.envrc"]);
    assert_eq!(new(None), ["a/.envrc"]);
    // A time that a program can set does not count.
    let file = fs::File::open(project.path("a/.envrc")).unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(new(Some(now - 100)), ["a/.envrc"]);
}

#[test]
fn a_short_report_is_short() {
    let project = Project::new();
    assert_eq!(short_report(&project.scan(Scope::Top).findings), NOTHING);
    project.write(".envrc", "");
    assert_eq!(short_report(&project.scan(Scope::Top).findings).len(), 3);
    for n in 0..10 {
        project.write(&format!("{n}.code-workspace"), "");
    }
    let lines = short_report(&project.scan(Scope::Top).findings);
    assert_eq!(lines.len(), 5);
    assert!(lines[4].contains("and 8 more"), "{lines:?}");
}
