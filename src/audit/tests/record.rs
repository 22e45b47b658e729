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
    let record = project.record();
    assert_eq!(record.label.len(), SALT + 3 * DIGEST);
    let new = || {
        let new = record.new_among(&top());
        new.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(new(), NOTHING);
    project.write(".git/hooks/pre-commit", "2");
    assert_eq!(new(), [".git/hooks/pre-commit"]);
    project.write(".git/hooks/pre-commit", "1").write(".envrc", "2").write("tool", "2");
    assert_eq!(new(), [".envrc", ".git/config"]);
    project.write(".envrc", "1").write("tool", "1").config("[core] pager = ./tool less\n[core] editor = x\n");
    assert_eq!(new(), [".git/config"]);

    assert_eq!(without_remotes(&top()).len(), 4);
    for label in ["", "é nonsense éé"] {
        let record = Record { label: label.to_owned(), since: 0 };
        assert_eq!(record.new_among(&top()).len(), 4);
    }
    assert_eq!(Record::new(&[], 0).label, "");
    // Without the salt, the digest of a finding is unknown.
    assert_ne!(project.record().label[SALT..], project.record().label[SALT..]);
}

#[test]
fn a_label_without_room_for_all_findings_says_so() {
    let project = Project::repository();
    let config = (0..600).fold(String::new(), |text, n| format!("{text}[alias] a{n} = x\n"));
    project.config(&config);
    let findings = project.scan(Scope::Top).findings;
    let record = project.record();
    assert!(record.label.len() <= 4096 && record.is_cut());
    assert_eq!(record.new_among(&findings).len(), 600 - (4095 - SALT) / DIGEST);
    assert!(!Record::new(&findings[..5], 0).is_cut());
}

#[test]
fn below_the_top_the_time_of_the_last_change_tells_what_is_new() {
    let project = Project::new();
    project.write("a/.envrc", "").write(".envrc", "");
    let now = project.record().since;
    let new = |since| {
        let record = Record { since, ..project.record() };
        let new = record.new_among(&scan(&project.path(""), Outside::default(), Scope::Whole).findings);
        new.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    assert_eq!(new(now + 100), NOTHING);
    assert_eq!(new(now - 100), ["a/.envrc"]);
    // A time that a program can set does not count.
    let file = fs::File::open(project.path("a/.envrc")).unwrap();
    file.set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(new(now - 100), ["a/.envrc"]);
}

#[test]
fn a_short_report_is_short() {
    let project = Project::repository();
    let report = || short_report(&project.scan(Scope::Top).findings);
    assert_eq!(report(), None);
    project.config("[alias]\nx = !y\nz = !y\n");
    assert_eq!(report().unwrap(), "1 new file your machine would run (.git/config): `cage check`");
    project.write(".envrc", "");
    assert_eq!(report().unwrap(), "2 new files your machine would run (.envrc, .git/config): `cage check`");
    for n in 0..10 {
        project.write(&format!("{n}.code-workspace"), "");
    }
    let many = "12 new files your machine would run (.envrc, .git/config, 0.code-workspace, …): `cage check`";
    assert_eq!(report().unwrap(), many);
    project.write("(: run `x`.code-workspace", "");
    let odd = "13 new files your machine would run ('(: run `x`.code-workspace', .envrc, .git/config, …): `cage check`";
    assert_eq!(report().unwrap(), odd);
}
