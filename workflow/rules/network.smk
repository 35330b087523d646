"""Which pairs are used, what they are relative to, and where they were wrongly unwrapped."""


rule select_network:
    input:
        grid="<results>/{region}/grid.json",
        stack="<results>/{region}/{track}/unwrapped.zarr",
        pairs="<results>/{region}/{track}/pairs.csv",
        stable_ground=file_setting("stable_ground"),
        moving_areas=file_setting("moving_areas"),
    output:
        network="<results>/{region}/{track}/network.csv",
        report="<results>/{region}/{track}/network.json",
    log:
        "<results>/{region}/{track}/logs/select_network.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/select_network.tsv"
    group:
        "network"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(800, 20),
        runtime=minutes(5, 1),
    params:
        network=setting("network"),
        code=digest("network", "reference"),
    message:
        "{wildcards.region}/{wildcards.track}: the network"
    script:
        "../../scripts/select_network.py"


rule choose_reference:
    input:
        grid="<results>/{region}/grid.json",
        stack="<results>/{region}/{track}/unwrapped.zarr",
        network="<results>/{region}/{track}/network.csv",
        dem="<results>/{region}/dem.tif",
        stable_ground=file_setting("stable_ground"),
        moving_areas=file_setting("moving_areas"),
    output:
        reference="<results>/{region}/{track}/reference.json",
    log:
        "<results>/{region}/{track}/logs/choose_reference.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/choose_reference.tsv"
    group:
        "network"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes(1500, 20),
        runtime=minutes(5, 2),
    params:
        point=setting("reference/point"),
        min_coherence=setting("reference/min_coherence"),
        window_pixels=setting("reference/window_pixels"),
        code=digest("reference"),
    message:
        "{wildcards.region}/{wildcards.track}: the reference"
    script:
        "../../scripts/choose_reference.py"


rule correct_unwrapping:
    input:
        grid="<results>/{region}/grid.json",
        stack="<results>/{region}/{track}/unwrapped.zarr",
        network="<results>/{region}/{track}/network.csv",
        reference="<results>/{region}/{track}/reference.json",
    output:
        cycles=directory("<results>/{region}/{track}/cycles.zarr"),
    log:
        "<results>/{region}/{track}/logs/correct_unwrapping.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/correct_unwrapping.tsv"
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(2000, 100),
        runtime=minutes(10, 20),
    params:
        max_cycles=setting("unwrapping/max_cycles"),
        resolve_motion=setting("unwrapping/resolve_motion"),
        steps=setting("velocity/steps"),
        looks=setting("inversion/looks"),
        code=digest("ambiguity", "closure", "reference"),
    message:
        "{wildcards.region}/{wildcards.track}: unwrapping errors"
    script:
        "../../scripts/correct_unwrapping.py"
