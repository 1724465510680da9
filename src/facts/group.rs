//! An Auto Scaling group and its instance refresh, as AWS describes them. Plain data.

use serde::Serialize;

/// How a group is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupQuery {
    Named(String),
    /// By tags of the group: keys and values.
    Tagged(Vec<(String, String)>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    pub name: String,
    pub desired: u32,
    /// `EC2` or `ELB`.
    pub health_check: String,
    pub members: Vec<GroupMember>,
    /// Names of its launch lifecycle hooks.
    pub hooks: Vec<String>,
    /// ARNs of the load balancer's target groups.
    pub target_groups: Vec<String>,
}

/// What the load balancer says of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetHealth {
    pub instance: String,
    /// Such as `healthy`, `initial` or `draining`.
    pub state: String,
    /// Such as `Target.ResponseCodeMismatch`; empty if it is healthy.
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    pub id: String,
    /// `LifecycleState`, such as `InService` or `Pending:Wait`.
    pub state: String,
    /// `HealthStatus`.
    pub health: String,
}

impl TargetHealth {
    /// What the reason means, for those with which a deployment has to do.
    pub fn means(&self) -> Option<&'static str> {
        Some(match self.reason.as_str() {
            "Target.ResponseCodeMismatch" => {
                "the health check's path answers with a status that the target group does not expect"
            }
            "Target.Timeout" => "the health check gets no answer in time",
            "Target.FailedHealthChecks" => {
                "no connection: does the service listen on all addresses, and does its security group let the load balancer in?"
            }
            "Target.NotInUse" => {
                "the target group has no listener, or the instance's zone is not one of the load balancer's"
            }
            "Target.HealthCheckDisabled" => "the target group has no health check",
            "Target.InvalidState" => "the instance is stopped or terminated",
            "Elb.InitialHealthChecking" => "the first health checks go on",
            "Elb.InternalError" => "the health checks fail for a reason of the load balancer",
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refresh {
    pub id: String,
    pub status: String,
    /// Of the instances that are replaced.
    pub percentage: u32,
    /// How many are not replaced yet.
    pub left: u32,
    /// Why it has its status, in AWS's words.
    pub reason: String,
}

impl Refresh {
    /// Whether it goes on by itself.
    pub fn is_active(&self) -> bool {
        matches!(
            self.status.as_str(),
            "Pending" | "InProgress" | "Cancelling" | "RollbackInProgress" | "Baking"
        )
    }

    pub fn is_successful(&self) -> bool {
        self.status == "Successful"
    }
}

impl Group {
    pub fn in_service(&self) -> usize {
        self.members.iter().filter(|member| member.state == "InService" && member.health == "Healthy").count()
    }
}
