"""From raw Sentinel-1 scenes to unwrapped interferograms, by the engine `geocoded`.

A date is one job and a pair is one job. What a job depends on are its own rows of `scenes.csv`, as
parameters, so that another date makes no finished one run again.
"""


rule simulate_scenes:
    input:
        dem=file_setting("dem"),
    output:
        raw=directory("<results>/{region}/{track}/raw"),
        truth=directory("<results>/{region}/{track}/truth.zarr"),
    log:
        "<results>/{region}/{track}/logs/simulate_scenes.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/simulate_scenes.tsv"
    wildcard_constraints:
        track=only(["simulated_scenes"]),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(2000, 100),
        runtime=minutes(15, 20),
    params:
        track=simulated_keys,
        area=setting("area"),
        crs=setting("grid/crs"),
        spacing_m=setting("grid/spacing_m"),
        code=digest("simulation_acquisitions", "terrain"),
    message:
        "{wildcards.region}/{wildcards.track}: simulating scenes"
    script:
        "../../scripts/simulate_scenes.py"


rule check_scenes:
    input:
        scenes=scene_folder,
        orbits=orbit_folder,
        dem=scene_dem,
    output:
        scenes="<results>/{region}/{track}/scenes.csv",
        aside="<results>/{region}/{track}/bursts_aside.csv",
        rejected="<results>/{region}/{track}/rejected_scenes.csv",
    log:
        "<results>/{region}/{track}/logs/check_scenes.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/check_scenes.tsv"
    wildcard_constraints:
        track=only(SCENES),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1000, 0.1),
        runtime=minutes(10, 0.2),
    params:
        polarisation=setting("tracks/{track}/polarisation"),
        area=setting("area"),
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=source_state,
        code=digest("sentinel1.scenes", "sentinel1.heights", "readers.assemble"),
    message:
        "{wildcards.region}/{wildcards.track}: looking at the scenes"
    script:
        "../../scripts/check_scenes.py"


checkpoint plan_pairs:
    input:
        scenes="<results>/{region}/{track}/scenes.csv",
    output:
        planned="<results>/{region}/{track}/planned.csv",
    log:
        "<results>/{region}/{track}/logs/plan_pairs.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/plan_pairs.tsv"
    wildcard_constraints:
        track=only([*SCENES, *IMAGES]),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        pair_days=setting("tracks/{track}/pair_days"),
        pair_baseline_m=setting("tracks/{track}/pair_baseline_m"),
        yearly_days=setting("tracks/{track}/yearly_days"),
        connections=setting("tracks/{track}/connections"),
        months=setting("network/months"),
        code=digest("network", "io"),
    message:
        "{wildcards.region}/{wildcards.track}: which pairs to make"
    script:
        "../../scripts/plan_pairs.py"


rule lay_out_bursts:
    input:
        grid="<results>/{region}/grid.json",
        dem=scene_dem,
        planned=ancient(planned),
    output:
        layout=directory("<results>/{region}/{track}/layout.zarr"),
        geometry=directory("<results>/{region}/{track}/geometry.zarr"),
    log:
        "<results>/{region}/{track}/logs/lay_out_bursts.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/lay_out_bursts.tsv"
    wildcard_constraints:
        track=only(SCENES),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(2000, 0.2),
        runtime=minutes(10, 0.5),
    params:
        bursts=bursts_of_first,
        files=products_of_first,
        looks=setting("tracks/{track}/looks"),
        bistatic=setting("tracks/{track}/bistatic"),
        dem_datum=dem_datum,
        geoid=setting("geoid"),
        code=digest("sentinel1.engine", "sentinel1.heights", "downslope"),
    message:
        "{wildcards.region}/{wildcards.track}: line of sight, and which burst serves where"
    script:
        "../../scripts/lay_out_bursts.py"


rule geocode_scene:
    input:
        grid="<results>/{region}/grid.json",
        dem=scene_dem,
        layout="<results>/{region}/{track}/layout.zarr",
        planned=ancient(planned),
    output:
        slc=directory("<results>/{region}/{track}/slc/{date}.zarr"),
    log:
        "<results>/{region}/{track}/logs/geocode_scene_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/geocode_scene_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(2500, 0),
        runtime=minutes(15, 0.5),
    params:
        bursts=bursts_of_date,
        files=products_of_date,
        looks=setting("tracks/{track}/looks"),
        bistatic=setting("tracks/{track}/bistatic"),
        dem_datum=dem_datum,
        geoid=setting("geoid"),
        code=digest("sentinel1.engine", "sentinel1.heights"),
    message:
        "{wildcards.region}/{wildcards.track}: geocoding {wildcards.date}"
    script:
        "../../scripts/geocode_scene.py"


rule flatten_backscatter:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        layout="<results>/{region}/{track}/layout.zarr",
        slc="<results>/{region}/{track}/slc/{date}.zarr",
    output:
        backscatter="<results>/{region}/{track}/backscatter/{date}.tif",
    log:
        "<results>/{region}/{track}/logs/flatten_backscatter_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/flatten_backscatter_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(1500, 0.1),
        runtime=minutes(10, 0.2),
    params:
        bursts=bursts_of_date,
        files=products_of_date,
        looks=setting("tracks/{track}/looks"),
        bistatic=setting("tracks/{track}/bistatic"),
        code=digest("sentinel1.engine"),
    message:
        "{wildcards.region}/{wildcards.track}: backscatter of {wildcards.date}"
    script:
        "../../scripts/flatten_backscatter.py"


rule flatten_cross:
    input:
        grid="<results>/{region}/grid.json",
        dem=scene_dem,
        geometry="<results>/{region}/{track}/geometry.zarr",
        layout="<results>/{region}/{track}/layout.zarr",
        planned=ancient(planned),
    output:
        backscatter="<results>/{region}/{track}/backscatter_cross/{date}.tif",
    log:
        "<results>/{region}/{track}/logs/flatten_cross_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/flatten_cross_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 2
    resources:
        mem_mb=megabytes(2500, 0.1),
        runtime=minutes(15, 0.5),
    params:
        bursts=bursts_of_date,
        files=products_of_date,
        looks=setting("tracks/{track}/looks"),
        bistatic=setting("tracks/{track}/bistatic"),
        dem_datum=dem_datum,
        geoid=setting("geoid"),
        code=digest("sentinel1.engine", "sentinel1.heights"),
    message:
        "{wildcards.region}/{wildcards.track}: cross-polarised backscatter of {wildcards.date}"
    script:
        "../../scripts/flatten_cross.py"


rule interfere_pair:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        reference="<results>/{region}/{track}/slc/{reference}.zarr",
        secondary="<results>/{region}/{track}/slc/{secondary}.zarr",
    output:
        pair=directory("<results>/{region}/{track}/pairs/{reference}_{secondary}.zarr"),
    log:
        "<results>/{region}/{track}/logs/interfere_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/interfere_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="geocoded"),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(2000, 0.1),
        runtime=minutes(10, 0.5),
    params:
        images=geocoded_images(track_folder, "reference", "secondary"),
        looks=setting("tracks/{track}/looks"),
        goldstein=setting("tracks/{track}/goldstein"),
        unwrapper=setting("tracks/{track}/unwrapper"),
        min_coherence=setting("tracks/{track}/min_coherence"),
        code=digest("sentinel1.engine", "sentinel1.unwrapping"),
    message:
        "{wildcards.region}/{wildcards.track}: interferogram {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/interfere_pair.py"


rule stack_pairs:
    input:
        grid="<results>/{region}/grid.json",
        geometry="<results>/{region}/{track}/geometry.zarr",
        planned=planned,
        pairs=pairs_to_make("pairs/{reference}_{secondary}.zarr"),
    output:
        stack=directory("<results>/{region}/{track}/unwrapped.zarr"),
        pairs="<results>/{region}/{track}/pairs.csv",
        rejected="<results>/{region}/{track}/rejected.csv",
    log:
        "<results>/{region}/{track}/logs/stack_pairs.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/stack_pairs.tsv"
    wildcard_constraints:
        track="|".join([only(SCENES, engine="geocoded"), only(IMAGES)]),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 0.5),
        runtime=minutes(10, 0.5),
    params:
        on_bad_input=setting("on_bad_input"),
        code=digest("readers.assemble", "readers.made"),
    message:
        "{wildcards.region}/{wildcards.track}: stacking the pairs"
    script:
        "../../scripts/stack_pairs.py"


rule clean_slc:
    log:
        "<results>/logs/clean_slc.log",
    localrule: True
    conda:
        "../../envs/sentinel1.yaml"
    params:
        folders=collect("{results}/{region}", results=config["results"], region=REGIONS),
    message:
        "removing the geocoded images of every track; further dates need them again"
    script:
        "../../scripts/clean_slc.py"
