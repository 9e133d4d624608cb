//! What a block or a launch leaves behind: nothing that the next one could read or race with.

use plummet::ptx::{Arg, Fault, FaultKind, Launch, Memory, Module, Options};

/// Two blocks, of which the first alone runs `first`; both run `each`, and write `%r5` in the end.
fn blocks(first: &str, each: &str) -> Result<(), Fault> {
    let text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p)\n{{
         .reg .b32 %r<9>;\n.reg .b64 %rd<4>;\n.reg .pred %p<3>;
         .shared .align 4 .b8 tile[4];\n.local .align 4 .b8 own[4];
         mov.u32 %r1, %ctaid.x;\nsetp.ne.u32 %p1, %r1, 0;
         mov.u32 %r2, 7;
         @%p1 bra $join;\n{first}\n$join:\n{each}
         ld.param.u64 %rd1, [p];\nmul.wide.u32 %rd2, %r1, 4;\nadd.s64 %rd3, %rd1, %rd2;
         st.global.u32 [%rd3], %r5;\nret;\n}}\n"
    );
    let module = Module::parse(&text).unwrap();
    let mut memory = Memory::new();
    let out = memory.allocate("out", 8);
    let args = [Arg::Buffer(out)];
    // Each launch twice: the second must find the first no more than its memory.
    for _ in 0..2 {
        module.run("k", &Launch::linear(2, 1), &args, &mut memory, &Options::default())?;
    }
    Ok(())
}

#[test]
fn a_block_sees_nothing_of_the_one_before_it() {
    let fault = |first: &str, each: &str| {
        let fault = blocks(first, each).unwrap_err();
        assert_eq!(fault.party.map(|party| party.block), Some([1, 0, 0]), "{first}");
        fault.kind
    };
    let shared = fault("st.shared.u32 [tile], %r2;", "ld.shared.u32 %r5, [tile];");
    assert_eq!(shared, FaultKind::UnwrittenMemory);
    let local = fault("st.local.u32 [own], %r2;", "ld.local.u32 %r5, [own];");
    assert_eq!(local, FaultKind::UnwrittenMemory);
    assert_eq!(fault("mov.u32 %r5, %r2;", ""), FaultKind::UnwrittenRegister);
}

#[test]
fn blocks_and_launches_that_write_their_own_memory_are_no_race() {
    let each = "st.shared.u32 [tile], %r2;\nst.local.u32 [own], %r2;\nld.shared.u32 %r5, [tile];";
    blocks("", each).unwrap();
}
