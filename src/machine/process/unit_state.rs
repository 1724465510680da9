//! The state of a unit, from systemd's answer or from what `systemctl show` prints. Reads nothing itself.

use std::collections::BTreeMap;

use super::bus::{Properties, Value};
use super::exit::{Exit, IMDS_ANSWERS};
use crate::plan::layout;

/// The properties of one unit that bootagent reads; names as in `systemctl show`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    pub load: String,
    pub active: String,
    pub sub: String,
    pub result: String,
    pub main_pid: u32,
    pub restarts: u32,
    pub invocation: String,
    pub cgroup: String,
    pub needs_reload: bool,
    /// How the main process ended; `None` while it runs.
    pub exit: Option<Exit>,
    /// When the unit last became active, in seconds since 1970.
    pub active_since: Option<u64>,
    /// The last start failed in `ExecStartPre=`, because the unit could reach IMDS.
    pub imds_answered: bool,
}

pub const PROPERTIES: &[&str] = &[
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "NRestarts",
    "InvocationID",
    "ControlGroup",
    "NeedDaemonReload",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecStartPre",
    "ActiveEnterTimestamp",
];

impl UnitState {
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// Units other than services lack some properties, as in what systemctl prints.
    pub fn of(properties: &Properties) -> UnitState {
        let value = |name: &str| properties.get(name);
        let text = |name: &str| value(name).map(Value::text).unwrap_or_default();
        let number = |name: &str| value(name).map_or(0, Value::number);
        let small = |name: &str| u32::try_from(number(name)).unwrap_or(0);
        let list = |name: &str| value(name).map(Value::list).unwrap_or_default();
        let seconds = u64::try_from(number("ActiveEnterTimestamp")).unwrap_or(0) / 1_000_000;
        UnitState {
            load: text("LoadState"),
            active: text("ActiveState"),
            sub: text("SubState"),
            result: text("Result"),
            main_pid: small("MainPID"),
            restarts: small("NRestarts"),
            invocation: list("InvocationID").iter().map(|byte| format!("{:02x}", byte.number())).collect(),
            cgroup: text("ControlGroup"),
            needs_reload: number("NeedDaemonReload") == 1,
            exit: Exit::of(&number("ExecMainCode").to_string(), &number("ExecMainStatus").to_string()),
            active_since: Some(seconds).filter(|seconds| *seconds > 0),
            imds_answered: list("ExecStartPre").iter().any(|command| is_failed_command(command.list())),
        }
    }
}

/// Of what `systemctl show` prints.
pub fn parse(text: &str) -> UnitState {
    let mut values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let mut take = |name: &str| values.remove(name).unwrap_or_default().to_owned();
    UnitState {
        load: take("LoadState"),
        active: take("ActiveState"),
        sub: take("SubState"),
        result: take("Result"),
        main_pid: take("MainPID").parse().unwrap_or(0),
        restarts: take("NRestarts").parse().unwrap_or(0),
        invocation: take("InvocationID"),
        cgroup: take("ControlGroup"),
        needs_reload: take("NeedDaemonReload") == "yes",
        exit: Exit::of(&take("ExecMainCode"), &take("ExecMainStatus")),
        active_since: take("ActiveEnterTimestamp").strip_prefix('@').and_then(|at| at.parse().ok()),
        imds_answered: text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStartPre="))
            .any(is_failed_proof),
    }
}

/// The value is `{ path=... ; argv[]=bootagent __child imds-proof ; ... ; code=exited ; status=189 }`.
fn is_failed_proof(start_pre: &str) -> bool {
    start_pre.contains(layout::IMDS_PROOF) && start_pre.ends_with(&format!("; status={IMDS_ANSWERS} }}"))
}

/// The same as D-Bus has it, `(sasbttttuii)`: path, arguments, whether a failure is ignored, four times, pid, code and status.
fn is_failed_command(command: &[Value]) -> bool {
    let arguments = command.get(1).map(Value::list).unwrap_or_default();
    let line: Vec<String> = arguments.iter().map(Value::text).collect();
    let status = command.last().map_or(0, Value::number);
    line.join(" ").contains(layout::IMDS_PROOF) && status == IMDS_ANSWERS.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_in_any_order_and_absent_ones_are_empty() {
        let state = parse("NRestarts=3\nMainPID=17\nActiveState=active\nNeedDaemonReload=yes\nResult=a=b\n");
        assert!(state.is_active() && state.needs_reload);
        assert_eq!((state.main_pid, state.restarts, state.result.as_str()), (17, 3, "a=b"));
        assert_eq!(parse("garbage"), UnitState::default());
    }

    #[test]
    fn only_a_failed_imds_proof_counts_as_imds_answered() {
        let ended = |argv: &str, status: i32| {
            let times = "start_time=[n/a] ; stop_time=[n/a] ; pid=7 ; code=exited";
            let line =
                format!("{{ path=/x ; argv[]={argv} ; ignore_errors=no ; {times} ; status={status} }}");
            let printed = parse(&format!("ExecStartPre={line}\n")).imds_answered;
            let arguments = argv.split(' ').map(|word| Value::Text(word.to_owned())).collect();
            let command =
                vec![Value::Text("/x".into()), Value::List(arguments), Value::Number(status.into())];
            let told = Value::List(vec![Value::List(command)]);
            assert_eq!(UnitState::of(&[("ExecStartPre".into(), told)].into()).imds_answered, printed);
            printed
        };
        assert!(ended(layout::IMDS_PROOF, 189));
        for (argv, status) in [(layout::IMDS_PROOF, 0), (layout::IMDS_PROOF, 1), ("/bin/false", 189)] {
            assert!(!ended(argv, status), "{argv} {status}");
        }
    }

    #[test]
    fn systemd_s_answer_gives_the_state_that_systemctl_prints() {
        let number = |number: i128| Value::Number(number);
        let text = |text: &str| Value::Text(text.to_owned());
        let told: Properties = [
            ("LoadState".to_owned(), text("loaded")),
            ("ActiveState".to_owned(), text("failed")),
            ("MainPID".to_owned(), number(0)),
            ("NRestarts".to_owned(), number(3)),
            ("InvocationID".to_owned(), Value::List(vec![number(0x0a), number(0xff)])),
            ("NeedDaemonReload".to_owned(), number(1)),
            ("ExecMainCode".to_owned(), number(2)),
            ("ExecMainStatus".to_owned(), number(9)),
            ("ActiveEnterTimestamp".to_owned(), number(1_764_000_000_999_999)),
        ]
        .into();
        let printed = "LoadState=loaded\nActiveState=failed\nMainPID=0\nNRestarts=3\nInvocationID=0aff\nNeedDaemonReload=yes\n\
                       ExecMainCode=2\nExecMainStatus=9\nActiveEnterTimestamp=@1764000000\n";
        assert_eq!(UnitState::of(&told), parse(printed));
        assert_eq!(UnitState::of(&Properties::new()), UnitState::default());
    }
}
