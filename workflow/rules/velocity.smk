"""Pairs to displacement to velocity along the line of sight."""


rule invert_network:
    input:
        grid="<results>/{region}/grid.json",
        stack="<results>/{region}/{track}/unwrapped.zarr",
        network="<results>/{region}/{track}/network.csv",
        reference="<results>/{region}/{track}/reference.json",
        cycles="<results>/{region}/{track}/cycles.zarr",
    output:
        inverted=directory("<results>/{region}/{track}/inverted.zarr"),
    log:
        "<results>/{region}/{track}/logs/invert_network.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/invert_network.tsv"
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 100),
        runtime=minutes(10, 10),
    params:
        weighting=setting("inversion/weighting"),
        norm=setting("inversion/norm"),
        looks=setting("inversion/looks"),
        min_pairs=setting("inversion/min_pairs"),
        code=digest("inversion", "phase_noise", "reference"),
    message:
        "{wildcards.region}/{wildcards.track}: inverting the network"
    script:
        "../../scripts/invert_network.py"


rule correct_displacement:
    input:
        grid="<results>/{region}/grid.json",
        displacement=branch(
            is_displacement,
            then="<results>/{region}/{track}/observed.zarr",
            otherwise="<results>/{region}/{track}/inverted.zarr",
        ),
        geometry="<results>/{region}/{track}/geometry.zarr",
        dem="<results>/{region}/dem.tif",
        network=branch(
            is_displacement,
            then=[],
            otherwise="<results>/{region}/{track}/network.csv",
        ),
        reference=branch(
            is_displacement,
            then=[],
            otherwise="<results>/{region}/{track}/reference.json",
        ),
        cycles=branch(
            is_displacement,
            then=[],
            otherwise="<results>/{region}/{track}/cycles.zarr",
        ),
        delays=file_setting("corrections/delays"),
        stable_ground=file_setting("stable_ground"),
        moving_areas=file_setting("moving_areas"),
    output:
        displacement=directory("<results>/{region}/{track}/displacement.zarr"),
        corrections="<results>/{region}/{track}/corrections.json",
    log:
        "<results>/{region}/{track}/logs/correct_displacement.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/correct_displacement.tsv"
    group:
        "velocity"
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 100),
        runtime=minutes(10, 10),
    params:
        corrections=setting("corrections"),
        delays=delays_state,
        min_temporal_coherence=setting("velocity/min_temporal_coherence"),
        code=digest("ambiguity", "correction", "reference"),
    message:
        "{wildcards.region}/{wildcards.track}: corrections"
    script:
        "../../scripts/correct_displacement.py"


rule estimate_velocity:
    input:
        grid="<results>/{region}/grid.json",
        displacement="<results>/{region}/{track}/displacement.zarr",
        pairs=branch(
            is_displacement,
            then=[],
            otherwise=[
                "<results>/{region}/{track}/unwrapped.zarr",
                "<results>/{region}/{track}/network.csv",
                "<results>/{region}/{track}/cycles.zarr",
            ],
        ),
    output:
        velocity="<results>/{region}/{track}/velocity.tif",
    log:
        "<results>/{region}/{track}/logs/estimate_velocity.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/estimate_velocity.tsv"
    group:
        "velocity"
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 100),
        runtime=minutes(10, 10),
    params:
        terms=setting("velocity/terms"),
        steps=setting("velocity/steps"),
        min_temporal_coherence=setting("velocity/min_temporal_coherence"),
        stable_ground=setting("stable_ground"),
        local_reference=setting("corrections/local_reference"),
        screen_aliasing=setting("velocity/screen_aliasing"),
        code=digest("velocity", "phase_noise", "ambiguity"),
    message:
        "{wildcards.region}/{wildcards.track}: velocity"
    script:
        "../../scripts/estimate_velocity.py"
