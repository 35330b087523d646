"""From optical scenes, or the geocoded images of a track, to offsets and their velocity.

A pair is one job. What it depends on are its own two scenes, as parameters, so that another scene
makes no finished one run again.
"""


checkpoint plan_offsets:
    input:
        folder=images_folder,
    output:
        scenes="<results>/{region}/offsets/{images}/scenes.csv",
        rejected="<results>/{region}/offsets/{images}/rejected_scenes.csv",
        planned="<results>/{region}/offsets/{images}/planned.csv",
        rejected_pairs="<results>/{region}/offsets/{images}/rejected_pairs.csv",
        grid="<results>/{region}/offsets/{images}/grid.json",
    log:
        "<results>/{region}/offsets/{images}/logs/plan_offsets.log",
    benchmark:
        "<results>/{region}/offsets/{images}/benchmarks/plan_offsets.tsv"
    wildcard_constraints:
        images=sets("landsat", "sentinel2"),
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(10, 2),
    params:
        images=planning_of_images,
        room=room_of_images,
        area=setting("area"),
        period=setting("period"),
        on_bad_input=setting("on_bad_input"),
        files=images_state,
        code=images_digest("optical.screening", "offsets.planning"),
    message:
        "{wildcards.region}/{wildcards.images}: looking at the scenes"
    script:
        "../../scripts/plan_offsets.py"


checkpoint plan_radar_offsets:
    input:
        scenes=track_product("scenes.csv"),
        grid="<results>/{region}/grid.json",
    output:
        planned="<results>/{region}/offsets/{images}/planned.csv",
        rejected_pairs="<results>/{region}/offsets/{images}/rejected_pairs.csv",
        grid="<results>/{region}/offsets/{images}/grid.json",
    log:
        "<results>/{region}/offsets/{images}/logs/plan_radar_offsets.log",
    benchmark:
        "<results>/{region}/offsets/{images}/benchmarks/plan_radar_offsets.tsv"
    wildcard_constraints:
        images=sets("slc"),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        images=planning_of_images,
        room=room_of_images,
        months=setting("network/months"),
        looks=track_setting("looks"),
        code=digest("offsets.planning", "readers.assemble", "grid", "io"),
    message:
        "{wildcards.region}/{wildcards.images}: which images to track between"
    script:
        "../../scripts/plan_radar_offsets.py"


rule match_pair:
    input:
        grid=ancient("<results>/{region}/offsets/{images}/grid.json"),
        made=made(images_folder),
    output:
        pair=directory("<results>/{region}/offsets/{images}/{reference}_{secondary}.zarr"),
    log:
        "<results>/{region}/offsets/{images}/logs/match_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/offsets/{images}/benchmarks/match_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        images=sets("landsat", "sentinel2"),
    conda:
        "../../envs/insar.yaml"
    threads: 4
    resources:
        mem_mb=megabytes_of_places(1500, 300),
        runtime=minutes(60, 0),
    params:
        scenes=scenes_of_pair,
        files=state_of_pair,
        grid=grid_of_images,
        source=setting("images/{images}/source"),
        band=setting("images/{images}/band"),
        offsets=matching_of_images,
        code=images_digest("offsets.tracking", "offsets.screening", "optical.screening"),
    message:
        "{wildcards.region}/{wildcards.images}: offsets {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/match_pair.py"


rule match_radar_pair:
    input:
        grid=ancient("<results>/{region}/offsets/{images}/grid.json"),
        dem=of_track(scene_dem),
        layout=track_product("layout.zarr"),
        geometry=track_product("geometry.zarr"),
        reference=track_product("slc/{reference}.zarr"),
        secondary=track_product("slc/{secondary}.zarr"),
    output:
        pair=directory("<results>/{region}/offsets/{images}/{reference}_{secondary}.zarr"),
    log:
        "<results>/{region}/offsets/{images}/logs/match_radar_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/offsets/{images}/benchmarks/match_radar_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        images=sets("slc"),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes_of_places(2500, 600),
        runtime=minutes(60, 0),
    params:
        bursts=bursts_of_pair,
        grid=grid_of_images,
        looks=track_setting("looks"),
        bistatic=track_setting("bistatic"),
        dem_datum=of_track(dem_datum),
        geoid=setting("geoid"),
        offsets=matching_of_images,
        code=digest(
            "offsets.tracking", "offsets.screening", "sentinel1.engine", "sentinel1.heights"
        ),
    message:
        "{wildcards.region}/{wildcards.images}: offsets {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/match_radar_pair.py"


rule invert_offsets:
    input:
        grid="<results>/{region}/offsets/{images}/grid.json",
        planned=planned_images,
        pairs=image_pairs,
        dem=file_setting("dem"),
        stable_ground=file_setting("stable_ground"),
        moving_areas=file_setting("moving_areas"),
    output:
        displacement=directory("<results>/{region}/offsets/{images}/displacement.zarr"),
        velocity="<results>/{region}/offsets/{images}/velocity.tif",
        pairs="<results>/{region}/offsets/{images}/pairs.csv",
        rejected="<results>/{region}/offsets/{images}/rejected.csv",
    log:
        "<results>/{region}/offsets/{images}/logs/invert_offsets.log",
    benchmark:
        "<results>/{region}/offsets/{images}/benchmarks/invert_offsets.tsv"
    conda:
        "../../envs/insar.yaml"
    resources:
        mem_mb=megabytes_of_places(1500, 1000),
        runtime=minutes(60, 0),
    params:
        offsets=inversion_of_images,
        norm=setting("inversion/norm"),
        on_bad_input=setting("on_bad_input"),
        code=digest(
            "offsets.velocity",
            "offsets.stable",
            "offsets.tracking",
            "readers.assemble",
            "reference",
        ),
    message:
        "{wildcards.region}/{wildcards.images}: velocity of the offsets"
    script:
        "../../scripts/invert_offsets.py"


rule plot_offsets:
    input:
        velocity="<results>/{region}/offsets/{images}/velocity.tif",
        dem=file_setting("dem"),
    output:
        figure=report(
            "<results>/{region}/figures/offsets_{images}.png",
            category="{region}",
            labels={"track": "{images}", "figure": "offset velocity"},
        ),
    log:
        "<results>/{region}/offsets/{images}/logs/plot_offsets.log",
    benchmark:
        "<results>/{region}/offsets/{images}/benchmarks/plot_offsets.tsv"
    group:
        "products"
    conda:
        "../../envs/figures.yaml"
    resources:
        mem_mb=megabytes(1000, 0),
        runtime=minutes(5, 0),
    params:
        title=title_of_images,
        code=digest("figures", "terrain"),
    message:
        "{wildcards.region}/{wildcards.images}: figure of the offsets"
    script:
        "../../scripts/plot_offsets.py"
