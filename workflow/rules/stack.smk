"""What others made, on the region's grid."""


rule read_stack:
    input:
        grid="<results>/{region}/grid.json",
        source=source,
    output:
        stack=directory("<results>/{region}/{track}/unwrapped.zarr"),
        geometry=directory("<results>/{region}/{track}/geometry.zarr"),
        pairs="<results>/{region}/{track}/pairs.csv",
        rejected="<results>/{region}/{track}/rejected.csv",
    log:
        "<results>/{region}/{track}/logs/read_stack.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/read_stack.tsv"
    wildcard_constraints:
        track=only(INTERFEROGRAMS),
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 50),
        runtime=minutes(10, 10),
    params:
        track=setting("tracks/{track}"),
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=source_state,
        code=reader_digest,
    message:
        "{wildcards.region}/{wildcards.track}: reading the stack"
    script:
        "../../scripts/read_stack.py"


rule simulate_stack:
    input:
        grid="<results>/{region}/grid.json",
    output:
        stack=directory("<results>/{region}/{track}/unwrapped.zarr"),
        geometry=directory("<results>/{region}/{track}/geometry.zarr"),
        pairs="<results>/{region}/{track}/pairs.csv",
        rejected="<results>/{region}/{track}/rejected.csv",
        truth=directory("<results>/{region}/{track}/truth.zarr"),
    log:
        "<results>/{region}/{track}/logs/simulate_stack.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/simulate_stack.tsv"
    wildcard_constraints:
        track=only(["simulated"]),
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 2000),
        runtime=minutes(10, 20),
    params:
        track=setting("tracks/{track}"),
        code=digest("simulation"),
    message:
        "{wildcards.region}/{wildcards.track}: simulating a stack"
    script:
        "../../scripts/simulate_stack.py"


rule read_displacement:
    input:
        grid="<results>/{region}/grid.json",
        source=source,
    output:
        observed=directory("<results>/{region}/{track}/observed.zarr"),
        geometry=directory("<results>/{region}/{track}/geometry.zarr"),
        dates="<results>/{region}/{track}/dates.csv",
        rejected="<results>/{region}/{track}/rejected.csv",
    log:
        "<results>/{region}/{track}/logs/read_displacement.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/read_displacement.tsv"
    wildcard_constraints:
        track=only(["displacement"]),
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=minutes(10, 10),
    params:
        track=setting("tracks/{track}"),
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=source_state,
        code=reader_digest,
    message:
        "{wildcards.region}/{wildcards.track}: reading the displacement series"
    script:
        "../../scripts/read_displacement.py"
