//! Replacing a cage with a new container.

use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, SUCCESSOR};
use crate::cage::options::NO_ROOT;
use crate::lifecycle::context::{Context, Entry, Settling};
use crate::lifecycle::create::NewCage;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::steps::{Removal, halt, remove};

impl Context<'_> {
    /// Returns the plan that replaces `old` with a new container; `old` is removed only when the new container runs.
    pub fn replace(&self, old: &Cage, creation: &NewCage, options: &CreateOptions, entry: &Entry) -> Plan {
        let mut plan = Plan::default();
        let name = &self.project.name;
        let new = format!("{name}{SUCCESSOR}");
        plan.append(creation.make(self, &new, options, Removal::Cage));
        if old.state.is_up() {
            // Both can't listen on the same ports.
            halt(&mut plan, self.host, self.runtime, &[old], "restarted");
            // Code in the old cage could write until now, and may have put a link in the path of a mount of either container.
            plan.push(Step::Undo(Plan::new([
                Step::Run(remove(self.runtime, &new)),
                Step::Say(format!("{name} is still the old one, and is stopped")),
            ])));
            plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
            plan.push(Step::Undo(self.restore(old, &new)));
        } else {
            plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
        }
        let settling = Settling {
            machines_agent: creation.uses_machines_agent(self.host, options),
            no_root: options.has(NO_ROOT),
        };
        plan.append(self.start_new(&new, settling));
        plan.run(remove(self.runtime, &old.id));
        plan.run(self.runtime.command(["rename", &new, name]));
        plan.append(self.enter(name, None, entry));
        plan
    }

    /// Returns the plan that removes the new container, and starts `old` again if it ran.
    fn restore(&self, old: &Cage, new: &str) -> Plan {
        let mut plan = Plan::default();
        plan.run(remove(self.runtime, new));
        if old.state.is_up() {
            plan.run(self.runtime.command(["start", &old.id]));
            plan.say(format!("{} is the old one again; its programs have ended", self.project.name));
        }
        plan
    }
}
