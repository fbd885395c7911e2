//! What was measured, and what was hoped for.

use std::fmt;

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What was measured; names the line from one run to the next.
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    pub(crate) goal: Option<Goal>,
    /// The numbers behind it.
    pub(crate) detail: String,
    /// What keeps it from being better.
    pub(crate) limit: &'static str,
}

/// What a figure counts. Only ratios, taken in one run, are compared with those of other runs:
/// everything else tells more of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Ratio,
    Microseconds,
    Milliseconds,
    PerSecond,
    Mebibytes,
    Calls,
}

/// What design asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ratio => "×",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::PerSecond => "/s",
            Self::Mebibytes => "MiB",
            Self::Calls => "calls",
        })
    }
}

impl Figure {
    /// The goal, and whether it is met; empty where there is none.
    pub(crate) fn verdict(&self) -> String {
        let Some(goal) = self.goal else { return String::new() };
        let met = if goal.is_met(self.value) { "met" } else { "**missed**" };
        let (sign, limit) = match goal {
            Goal::AtMost(most) => ("≤", most),
            Goal::AtLeast(least) => ("≥", least),
        };
        format!("{sign} {limit} {}: {met}", self.unit)
    }

    /// As much of the number as it is worth.
    pub(crate) fn shown(&self) -> String {
        let digits = if self.value >= 100.0 { 0 } else { 2 };
        format!("{:.digits$} {}", self.value, self.unit)
    }
}
