//! From sums to actions, logits and the value, in C.

use std::fmt::Write;

use super::super::form::{EdgeHead, EdgePolicy, Part};
use super::super::vector::SelfTest;
use super::table::{Table, float};
use super::{TANH, sum_type};

/// What the header declares.
pub fn declarations(policy: &EdgePolicy) -> String {
    let mut out = String::new();
    match &policy.head {
        EdgeHead::Discrete(parts) => {
            out.push_str("/* The likeliest action: ");
            for (i, part) in parts.iter().enumerate() {
                let last = i64::from(part.start) + i64::from(part.n) - 1;
                let _ = write!(out, "{}action[{i}] from {} to {last}", if i > 0 { ", " } else { "" }, part.start);
                if i == 7 && parts.len() > 8 {
                    out.push_str(" and so on");
                    break;
                }
            }
            out.push_str(
                ".\n * mask says with a flag for each choice, part after part, which are allowed; NULL allows all.\n",
            );
            out.push_str(" * Returns 0, or 1 if the mask allows no choice of some part. */\n");
            out.push_str("int pol_act(const float *obs, const uint8_t *mask, int32_t *action);\n\n");
        }
        EdgeHead::MultiBinary(_) => {
            out.push_str("/* The likeliest action: 0 or 1 for each bit. mask has two flags for each bit, for 0 and for 1; NULL\n");
            out.push_str(" * allows all. Returns 0, or 1 if the mask allows neither for some bit. */\n");
            out.push_str("int pol_act(const float *obs, const uint8_t *mask, int32_t *action);\n\n");
        }
        EdgeHead::Box(_) | EdgeHead::SquashedBox(_) => {
            out.push_str("/* The likeliest action in its bounds. mask is not looked at. Returns 0. */\n");
            out.push_str("int pol_act(const float *obs, const uint8_t *mask, float *action);\n\n");
        }
    }
    out.push_str(match (&policy.head, policy.sums.leaf_bytes()) {
        (EdgeHead::Discrete(_), 1 | 2) => "/* Logits; the first of each part is 0, the others are relative to it. */\n",
        (EdgeHead::Discrete(_) | EdgeHead::MultiBinary(_), _) => "/* Logits. */\n",
        _ => "/* Means, before they are squashed or clipped. */\n",
    });
    out.push_str("void pol_logits(const float *obs, float *logits);\n\n");
    if policy.has_value {
        out.push_str("/* The value of a state, in the scale that the rewards were learnt in. */\n");
        out.push_str("float pol_value(const float *obs);\n\n");
    }
    out.push_str(
        "/* Decides on recorded observations. Returns 0 if every bit is as it was, else the number of the first test\n",
    );
    out.push_str(" * that fails, counted from 1. */\nint pol_self_test(void);\n\n");
    out
}

/// The functions.
pub fn functions(policy: &EdgePolicy) -> String {
    let mut out = String::new();
    let total = sum_type(policy);
    let sums = match policy.sums.n_sums() {
        0 => String::new(),
        _ => format!("    {total} sums[pol_N_SUMS];\n"),
    };
    let call = match policy.sums.n_sums() {
        0 => "    (void)obs;\n",
        1 => "    sums[0] = pol_sum(obs);\n",
        _ => "    pol_sum(obs, sums);\n",
    };
    match &policy.head {
        EdgeHead::Discrete(parts) => out.push_str(&discrete(policy, parts, &sums, call)),
        EdgeHead::MultiBinary(n) => {
            let _ = write!(
                out,
                "int pol_act(const float *obs, const uint8_t *mask, int32_t *action)\n{{\n{sums}    int status = 0;\n    uint32_t bit;\n\n{call}"
            );
            let zero = if total == "float" { "0.0f" } else { "0" };
            out.push_str(&BITS.replace("N_BITS", &n.to_string()).replace("ZERO", zero));
        }
        EdgeHead::Box(bounds) | EdgeHead::SquashedBox(bounds) => {
            let squash = matches!(policy.head, EdgeHead::SquashedBox(_));
            out.push_str("static const float ");
            let rows = bounds.iter().map(|&(low, high)| format!("{{{}, {}}}", bound(low), bound(high)));
            out.push_str(&Table::of(&format!("pol_bounds[{}][2]", bounds.len()), rows));
            if squash {
                out.push_str(TANH);
                out.push('\n');
            }
            let _ = write!(
                out,
                "int pol_act(const float *obs, const uint8_t *mask, float *action)\n{{\n{sums}    uint32_t i;\n\n    (void)mask;\n{call}"
            );
            let _ = writeln!(out, "    for (i = 0u; i < {}u; i++) {{", bounds.len());
            out.push_str("        const float low = pol_bounds[i][0];\n        const float high = pol_bounds[i][1];\n");
            let _ = writeln!(out, "        float x = {};\n", output(policy, "i"));
            if squash {
                out.push_str("        x = (float)((double)low + (((double)high - (double)low) * (0.5 * (pol_tanh((double)x) + 1.0))));\n");
            }
            out.push_str("        x = (x < low) ? low : x;\n        action[i] = (x > high) ? high : x;\n    }\n    return 0;\n}\n\n");
        }
    }
    out.push_str(&logits(policy, &sums, call));
    if policy.has_value {
        let _ = write!(
            out,
            "float pol_value(const float *obs)\n{{\n{sums}\n{call}    return {};\n}}\n\n",
            output(policy, "pol_N_SUMS - 1")
        );
    }
    out
}

fn discrete(policy: &EdgePolicy, parts: &[Part], sums: &str, call: &str) -> String {
    let mut out = String::new();
    let total = sum_type(policy);
    let relative = total != "float";
    if let ([Part { n: 2, start }], 1, true) = (parts, policy.sums.n_sums(), relative) {
        return TWO_CHOICES.replace("FIRST", &integer(*start));
    }
    let (n, start, count) = match parts {
        [part] => (format!("{}u", part.n), integer(part.start), "1u".to_owned()),
        _ => {
            out.push_str("/* Choices of each part of an action, and what the first is called. */\n");
            out.push_str("static const struct { uint32_t n; int32_t start; } ");
            let rows = parts.iter().map(|part| format!("{{{}u, {}}}", part.n, integer(part.start)));
            out.push_str(&Table::of(&format!("pol_parts[{}]", parts.len()), rows));
            ("pol_parts[part].n".into(), "pol_parts[part].start".into(), format!("{}u", parts.len()))
        }
    };
    let _ = write!(out, "int pol_act(const float *obs, const uint8_t *mask, int32_t *action)\n{{\n{sums}");
    let sum = if sums.is_empty() { None } else { Some(()) };
    let several = parts.len() > 1;
    if several {
        out.push_str("    uint32_t part;\n    uint32_t from = 0u;\n");
        if sum.is_some() {
            let _ = writeln!(out, "    const {total} *logit = sums;");
        }
    }
    let logit = match (sum, relative, several) {
        (None, ..) => "0".into(),
        (_, true, true) => "(choice == 0u) ? 0 : logit[choice - 1u]".into(),
        (_, true, false) => "(choice == 0u) ? 0 : sums[choice - 1u]".into(),
        (_, false, true) => "logit[choice]".to_owned(),
        (_, false, false) => "sums[choice]".into(),
    };
    let indent = if several { "        " } else { "    " };
    let zero = if total == "float" { "0.0f" } else { "0" };
    let from = if several { "from + choice" } else { "choice" };
    let mut body = format!("uint32_t choice;\nuint32_t best = {n};\n{total} largest = {zero};\n\n");
    if !several {
        body.push_str(call.trim_start());
    }
    let _ = write!(
        body,
        "for (choice = 0u; choice < {n}; choice++) {{
    const {total} here = {logit};

    if (((mask == NULL) || (mask[{from}] != 0u)) && ((best == {n}) || (here > largest))) {{
        best = choice;
        largest = here;
    }}
}}
if (best == {n}) {{
    return 1;
}}
action[{}] = {};
",
        if several { "part" } else { "0" },
        if start == "0" { "(int32_t)best".to_owned() } else { format!("{start} + (int32_t)best") },
    );
    if several {
        let _ = writeln!(body, "from += {n};");
        if sum.is_some() {
            let _ = writeln!(body, "logit = &logit[{n}{}];", if relative { " - 1u" } else { "" });
        }
        let _ = write!(out, "\n{call}    for (part = 0u; part < {count}; part++) {{\n");
    }
    for line in body.lines() {
        let _ = writeln!(out, "{}", if line.is_empty() { String::new() } else { format!("{indent}{line}") });
    }
    out.push_str(if several { "    }\n    return 0;\n}\n\n" } else { "    return 0;\n}\n\n" });
    out
}

fn logits(policy: &EdgePolicy, sums: &str, call: &str) -> String {
    let mut out = format!("void pol_logits(const float *obs, float *logits)\n{{\n{sums}    uint32_t i;\n");
    match (&policy.head, sum_type(policy)) {
        (EdgeHead::Discrete(parts), "int32_t") => {
            let (n, count) = match parts.as_slice() {
                [part] => (format!("{}u", part.n), 1),
                _ => ("pol_parts[part].n".into(), parts.len()),
            };
            if sums.is_empty() {
                let _ = write!(
                    out,
                    "\n{call}    for (i = 0u; i < (uint32_t)POL_N_LOGITS; i++) {{\n        logits[i] = 0.0f;\n    }}\n}}\n\n"
                );
                return out;
            }
            let _ = write!(out, "    uint32_t part;\n    uint32_t at = 0u;\n    uint32_t sum = 0u;\n\n{call}");
            let _ = write!(
                out,
                "    for (part = 0u; part < {count}u; part++) {{
        logits[at] = 0.0f;
        at++;
        for (i = 1u; i < {n}; i++) {{
            logits[at] = {};
            at++;
            sum++;
        }}
    }}
}}

",
                output(policy, "sum")
            );
        }
        _ => {
            let _ = write!(
                out,
                "\n{call}    for (i = 0u; i < (uint32_t)POL_N_LOGITS; i++) {{\n        logits[i] = {};\n    }}\n}}\n\n",
                output(policy, "i")
            );
        }
    }
    out
}

/// A sum as a number.
fn output(policy: &EdgePolicy, i: &str) -> String {
    match sum_type(policy) {
        "float" => format!("sums[{i}]"),
        _ => format!("(float)sums[{i}] * pol_scales[{i}]"),
    }
}

/// C has no literal for the smallest integer.
fn integer(x: i32) -> String {
    if x == i32::MIN { "(-2147483647 - 1)".into() } else { x.to_string() }
}

/// Infinities as numbers that nothing exceeds but themselves.
fn bound(x: f32) -> String {
    match x {
        f32::INFINITY => "3.4028235e38f".into(),
        f32::NEG_INFINITY => "-3.4028235e38f".into(),
        _ => float(x),
    }
}

/// Of two choices the sign of one sum decides.
const TWO_CHOICES: &str = "int pol_act(const float *obs, const uint8_t *mask, int32_t *action)
{
    const int32_t sum = pol_sum(obs);
    const int first = (mask == NULL) || (mask[0] != 0u);
    const int second = (mask == NULL) || (mask[1] != 0u);

    if ((first == 0) && (second == 0)) {
        return 1;
    }
    action[0] = FIRST + (((second != 0) && ((first == 0) || (sum > 0))) ? 1 : 0);
    return 0;
}

";

const BITS: &str = "    for (bit = 0u; bit < N_BITSu; bit++) {
        const int no = (mask == NULL) || (mask[2u * bit] != 0u);
        const int yes = (mask == NULL) || (mask[(2u * bit) + 1u] != 0u);

        if ((no == 0) && (yes == 0)) {
            status = 1;
        } else if (no == yes) {
            action[bit] = (sums[bit] > ZERO) ? 1 : 0;
        } else {
            action[bit] = yes;
        }
    }
    return status;
}

";

/// The table of actions that have to come out.
pub fn self_test_actions(policy: &EdgePolicy, tests: &SelfTest) -> String {
    if policy.is_box() {
        let bits = tests.actions.iter().map(|&x| format!("{:#010x}u", (x as f32).to_bits()));
        return format!("static const uint32_t {}", Table::of("pol_test_actions[]", bits));
    }
    let actions = tests.actions.iter().map(|&x| integer(x as i32));
    format!("static const int32_t {}", Table::of("pol_test_actions[]", actions))
}

/// The body of the loop over tests.
pub fn self_test_check(policy: &EdgePolicy) -> String {
    let action = if policy.is_box() { "float" } else { "int32_t" };
    let mut out = format!("        {action} action[POL_ACTION_LEN];\n\n");
    out.push_str(
        "        (void)memcpy(obs, &pol_test_obs[test * (uint32_t)POL_N_FEATURES], sizeof obs);
        pol_logits(obs, logits);
        if ((pol_act(obs, NULL, action) != 0) ||
            (memcmp(action, &pol_test_actions[test * (uint32_t)POL_ACTION_LEN], sizeof action) != 0) ||
            (memcmp(logits, &pol_test_logits[test * (uint32_t)POL_N_LOGITS], sizeof logits) != 0)) {
            return (int)test + 1;
        }
",
    );
    if policy.has_value {
        out.push_str(
            "        value = pol_value(obs);
        (void)memcpy(&value_bits, &value, sizeof value_bits);
        if (value_bits != pol_test_values[test]) {
            return (int)test + 1;
        }
",
        );
    }
    out
}
