//! A linear branch beside the stream, wrong in the ways in which it has been.

use super::layers::{Branch, Grads, Matrix, Net, Norm};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("residual", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("residual_skip_normed", "wiring", "pre_ln adds the branch to the normed stream"),
    mutant("residual_post_as_pre", "wiring", "post_ln wired as pre_ln"),
    mutant("residual_deepnorm_as_pre", "wiring", "deepnorm wired as pre_ln, with its alpha"),
    mutant("residual_norm_forgotten", "wiring", "no norm anywhere"),
    mutant("residual_alpha_on_branch", "wiring", "alpha multiplies the branch, not the stream"),
    mutant("residual_alpha_on_both", "wiring", "alpha multiplies stream and branch"),
    mutant("residual_alpha_forgotten", "wiring", "deepnorm without alpha"),
    mutant("residual_alpha_always", "wiring", "alpha in every wiring"),
    mutant(
        "residual_sandwich_inner_lost",
        "wiring",
        "sandwich_ln without the norm before the branch",
    ),
    mutant(
        "residual_sandwich_outer_lost",
        "wiring",
        "sandwich_ln without the norm behind the branch",
    ),
    mutant("residual_sandwich_around_sum", "wiring", "sandwich_ln norms the sum once more"),
    mutant(
        "residual_branch_transposed",
        "axis",
        "the branch multiplies by its matrix, not the transpose",
    ),
    mutant("residual_eps_fixed", "epsilon", "eps is 1e-5 whatever is asked"),
    mutant("residual_eps_outside", "epsilon", "eps added outside of the square root"),
    mutant("residual_skip_gradient_lost", "backward", "the gradient of the skip is dropped"),
    mutant(
        "residual_branch_gradient_lost",
        "backward",
        "the gradient through the branch is dropped",
    ),
    mutant("residual_branch_gradient_twice", "backward", "the gradient of the branch counts twice"),
    mutant("residual_alpha_not_in_backward", "backward", "backward leaves alpha out"),
    mutant(
        "residual_affine_overwritten",
        "backward",
        "the second use of the affine map overwrites the gradient of the first",
    ),
    mutant(
        "residual_statistics_constant",
        "backward",
        "mean and deviation taken for constants in backward",
    ),
    mutant(
        "residual_stale_rstd",
        "backward",
        "from the second call on, backward reads a deviation that is not this call's",
    ),
    mutant("residual_alpha_default", "argument", "an alpha of 0 taken for none given"),
];

pub const CONTROLS: &[Control] = &[
    Control { id: "residual_pairwise", op: "residual", about: "sums by halves" },
    Control { id: "residual_wide", op: "residual", about: "sums kept in f64" },
    Control { id: "residual_backwards", op: "residual", about: "sums from the last term" },
];

/// f(x) = x·branchᵀ.
struct Product<'a, R> {
    net: Net<'a, R>,
}

impl<R: Num> Branch<R> for Product<'_, R> {
    type Kept = Matrix<R>;
    fn forward(&self, x: &Matrix<R>) -> (Matrix<R>, Matrix<R>) {
        let mut branch = Matrix::of(self.net.p, "branch");
        if self.net.t.is("branch_transposed") {
            branch = branch.transposed();
        }
        (self.net.linear(x, &branch, None), x.clone())
    }
    fn backward(&self, x: &Matrix<R>, dy: &Matrix<R>, grads: &mut Grads<R>) -> Matrix<R> {
        let dbranch = self.net.linear(&dy.transposed(), &x.transposed(), None);
        let (mut dbranch, mut across) = (dbranch, Matrix::of(self.net.p, "branch").transposed());
        if self.net.t.is("branch_transposed") {
            (dbranch, across) = (dbranch.transposed(), across.transposed());
        }
        *grads.of("branch") = dbranch.data;
        self.net.linear(dy, &across, None)
    }
}

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let t = Mutation { id: t.id.strip_prefix("residual_").unwrap_or(""), ..t };
    let net = Net { p, t, read: "", write: "" };
    let norm = Norm {
        weight: "norm_weight".into(),
        bias: "norm_bias".into(),
        dweight: "norm_weight".into(),
        dbias: "norm_bias".into(),
        centred: true,
    };
    let (x, branch) = (Matrix::of(p, "x"), Product { net });
    let (y, kept) = net.wired(&norm, &branch, &x, &x);
    let shape = &p.get("x").shape;
    if p.call.dir == Dir::Fwd {
        return vec![Named::new("y", shape, y.data)];
    }
    let mut grads = Grads::zeros(p, &["x", "dy"]);
    let dy = Matrix::of(p, "dy");
    let (dskip, dinner) = net.wired_back(&norm, &branch, &kept, &dy, None, &mut grads);
    let dx = Named::new("dx", shape, dskip.plus(&dinner).data);
    std::iter::once(dx).chain(grads.outputs()).collect()
}
