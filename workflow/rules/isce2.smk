"""From raw Sentinel-1 scenes to unwrapped interferograms, by the engine `isce2`.

The steps of ISCE2's topsStack with the parallelism that they have: a date is a job, a pair is a
job, and what all dates share is one. The scenes, the pairs and the geometry of the map are those of
the engine `geocoded`, and the results come back through the reader of `source: isce2`. The folder
`isce2` of the track has topsStack's names, so that its other tools work there.
"""


rule isce2_elevation:
    input:
        dem=scene_dem,
        scenes=ancient("<results>/{region}/{track}/scenes.csv"),
    output:
        dem="<results>/{region}/{track}/isce2/dem/dem.wgs84",
        metadata="<results>/{region}/{track}/isce2/dem/dem.wgs84.xml",
        view="<results>/{region}/{track}/isce2/dem/dem.wgs84.vrt",
    log:
        "<results>/{region}/{track}/logs/isce2_elevation.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_elevation.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(1000, 2),
        runtime=minutes(5, 0.2),
    params:
        dem_datum=dem_datum,
        geoid=setting("geoid"),
        code=digest("topsstack.commands", "topsstack.elevation"),
    message:
        "{wildcards.region}/{wildcards.track}: the DEM for ISCE2"
    script:
        "../../scripts/isce2_elevation.py"


rule isce2_reference:
    input:
        dem="<results>/{region}/{track}/isce2/dem/dem.wgs84",
        planned=ancient(planned),
    output:
        images=directory("<results>/{region}/{track}/isce2/reference"),
        geometry=directory("<results>/{region}/{track}/isce2/geom_reference"),
    log:
        "<results>/{region}/{track}/logs/isce2_reference.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_reference.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
    conda:
        "../../envs/isce2.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1000, 1),
        runtime=minutes(30, 10),
    params:
        commands=lambda w: commands.reference(
            unpacked_on(w, dates_of(w)[0]),
            keys_of(w)["polarisation"],
        ),
        files=products_of_first,
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: bursts and geometry of the first date"
    script:
        "../../scripts/run_isce2.py"


rule isce2_unpack:
    input:
        planned=ancient(planned),
    output:
        images=directory("<results>/{region}/{track}/isce2/secondarys/{date}"),
    log:
        "<results>/{region}/{track}/logs/isce2_unpack_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_unpack_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        date=r"\d{8}",
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(10, 1),
    params:
        commands=lambda w: commands.unpack(
            unpacked_on(w, w.date),
            keys_of(w)["polarisation"],
            f"secondarys/{w.date}",
        ),
        files=products_of_date,
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: bursts of {wildcards.date}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_baseline:
    input:
        first="<results>/{region}/{track}/isce2/reference",
        other="<results>/{region}/{track}/isce2/secondarys/{secondary}",
    output:
        baseline="<results>/{region}/{track}/isce2/baselines/{reference}_{secondary}/{reference}_{secondary}.txt",
    log:
        "<results>/{region}/{track}/logs/isce2_baseline_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_baseline_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        reference=r"\d{8}",
        secondary=r"\d{8}",
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        commands=lambda w: commands.baseline(w.reference, w.secondary),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: baseline of {wildcards.secondary}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_overlap:
    input:
        first="<results>/{region}/{track}/isce2/reference",
        geometry="<results>/{region}/{track}/isce2/geom_reference",
        images="<results>/{region}/{track}/isce2/secondarys/{date}",
    output:
        overlap=directory("<results>/{region}/{track}/isce2/coarse_secondarys/{date}"),
    log:
        "<results>/{region}/{track}/logs/isce2_overlap_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_overlap_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        date=r"\d{8}",
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1000, 0),
        runtime=minutes(20, 5),
    params:
        commands=lambda w: commands.overlap(w.date),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: overlaps of bursts of {wildcards.date}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_misregister_pair:
    input:
        overlaps=isce2_dates(commands.overlaps_of, "reference", "secondary"),
    output:
        shifts="<results>/{region}/{track}/isce2/misreg/pairs/{reference}_{secondary}.json",
        coarse=temp(
            directory(
                "<results>/{region}/{track}/isce2/coarse_interferograms/{reference}_{secondary}"
            )
        ),
        diversity=temp(directory("<results>/{region}/{track}/isce2/ESD/{reference}_{secondary}")),
    log:
        "<results>/{region}/{track}/logs/isce2_misregister_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_misregister_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        reference=r"\d{8}",
        secondary=r"\d{8}",
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1000, 0),
        runtime=minutes(20, 5),
    params:
        first=lambda w: dates_of(w)[0],
        code=digest("topsstack.commands", "topsstack.misregistration"),
    message:
        "{wildcards.region}/{wildcards.track}: shift of {wildcards.secondary} against {wildcards.reference}"
    script:
        "../../scripts/isce2_misregister_pair.py"


rule isce2_misregister:
    input:
        pairs=shifts_of_pairs,
        azimuth=shifts_of_dates("azimuth"),
        range=shifts_of_dates("range"),
    output:
        azimuth="<results>/{region}/{track}/isce2/misreg/azimuth/{date}.txt",
        range="<results>/{region}/{track}/isce2/misreg/range/{date}.txt",
    log:
        "<results>/{region}/{track}/logs/isce2_misregister_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_misregister_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        date=r"\d{8}",
    conda:
        "../../envs/sentinel1.yaml"
    resources:
        mem_mb=megabytes(300, 0),
        runtime=minutes(5, 0),
    params:
        earlier=earlier_dates,
        code=digest("topsstack.misregistration"),
    message:
        "{wildcards.region}/{wildcards.track}: shift of {wildcards.date}"
    script:
        "../../scripts/isce2_misregister.py"


rule isce2_coregister:
    input:
        first="<results>/{region}/{track}/isce2/reference",
        geometry="<results>/{region}/{track}/isce2/geom_reference",
        images="<results>/{region}/{track}/isce2/secondarys/{date}",
        azimuth=shifts_of_dates("azimuth", own=True),
        range=shifts_of_dates("range", own=True),
    output:
        images=directory("<results>/{region}/{track}/isce2/coreg_secondarys/{date}"),
    log:
        "<results>/{region}/{track}/logs/isce2_coregister_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_coregister_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        date=r"\d{8}",
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(20, 5),
    params:
        commands=lambda w: commands.coregister(w.date, misregistered=by_overlaps(w)),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: {wildcards.date} onto the first date"
    script:
        "../../scripts/run_isce2.py"


rule isce2_valid_region:
    input:
        first="<results>/{region}/{track}/isce2/reference",
        images=isce2_secondaries,
    output:
        stack=directory("<results>/{region}/{track}/isce2/stack"),
    log:
        "<results>/{region}/{track}/logs/isce2_valid_region.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_valid_region.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0.2),
    params:
        code=digest("topsstack.commands"),
    message:
        "{wildcards.region}/{wildcards.track}: what all dates cover"
    script:
        "../../scripts/isce2_valid_region.py"


rule isce2_merge_geometry:
    input:
        first="<results>/{region}/{track}/isce2/reference",
        geometry="<results>/{region}/{track}/isce2/geom_reference",
    output:
        geometry=directory("<results>/{region}/{track}/isce2/merged/geom_reference"),
    log:
        "<results>/{region}/{track}/logs/isce2_merge_geometry.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_merge_geometry.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(20, 5),
    params:
        commands=lambda w: commands.merge_geometry(radar_looks(w)),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: geometry of the radar"
    script:
        "../../scripts/run_isce2.py"


rule isce2_merge_date:
    input:
        images=isce2_dates(commands.folder_of, "date"),
        stack=ancient("<results>/{region}/{track}/isce2/stack"),
    output:
        images=directory("<results>/{region}/{track}/isce2/merged/SLC/{date}"),
    log:
        "<results>/{region}/{track}/logs/isce2_merge_date_{date}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_merge_date_{date}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        date=r"\d{8}",
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(500, 0),
        runtime=minutes(5, 0),
    params:
        commands=lambda w: commands.merge_date(dates_of(w)[0], w.date),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: image of {wildcards.date}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_interfere:
    input:
        images=isce2_dates(commands.folder_of, "reference", "secondary"),
    output:
        bursts=temp(
            directory("<results>/{region}/{track}/isce2/interferograms/{reference}_{secondary}")
        ),
    log:
        "<results>/{region}/{track}/logs/isce2_interfere_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_interfere_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        reference=r"\d{8}",
        secondary=r"\d{8}",
    group:
        "isce2_pair"
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1800, 0),
        runtime=minutes(20, 5),
    params:
        commands=lambda w: commands.interfere(dates_of(w)[0], w.reference, w.secondary),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: interferograms of bursts, {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_merge_pair:
    input:
        bursts="<results>/{region}/{track}/isce2/interferograms/{reference}_{secondary}",
        stack=ancient("<results>/{region}/{track}/isce2/stack"),
    output:
        interferogram="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/fine.int",
        metadata="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/fine.int.xml",
    log:
        "<results>/{region}/{track}/logs/isce2_merge_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_merge_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        reference=r"\d{8}",
        secondary=r"\d{8}",
    group:
        "isce2_pair"
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1500, 0),
        runtime=minutes(20, 5),
    params:
        commands=lambda w: commands.merge_pair(f"{w.reference}_{w.secondary}", radar_looks(w)),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: interferogram {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_filter_pair:
    input:
        interferogram="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/fine.int",
        images=[
            "<results>/{region}/{track}/isce2/merged/SLC/{reference}",
            "<results>/{region}/{track}/isce2/merged/SLC/{secondary}",
        ],
    output:
        filtered="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/filt_fine.int",
        coherence="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/fine.cor",
    log:
        "<results>/{region}/{track}/logs/isce2_filter_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_filter_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        reference=r"\d{8}",
        secondary=r"\d{8}",
    group:
        "isce2_pair"
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(1800, 0),
        runtime=minutes(20, 5),
    params:
        commands=lambda w: commands.filter_pair(
            w.reference,
            w.secondary,
            radar_looks(w),
            keys_of(w)["goldstein"],
        ),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: coherence {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_unwrap_pair:
    input:
        filtered="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/filt_fine.int",
        coherence="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/fine.cor",
        first="<results>/{region}/{track}/isce2/reference",
    output:
        unwrapped="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/filt_fine.unw",
        components="<results>/{region}/{track}/isce2/merged/interferograms/{reference}_{secondary}/filt_fine.unw.conncomp",
    log:
        "<results>/{region}/{track}/logs/isce2_unwrap_pair_{reference}_{secondary}.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_unwrap_pair_{reference}_{secondary}.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
        reference=r"\d{8}",
        secondary=r"\d{8}",
    group:
        "isce2_pair"
    conda:
        "../../envs/isce2.yaml"
    resources:
        mem_mb=megabytes(2500, 0),
        runtime=minutes(60, 5),
    params:
        commands=lambda w: commands.unwrap_pair(f"{w.reference}_{w.secondary}", radar_looks(w)),
        code=digest("topsstack.installation"),
    message:
        "{wildcards.region}/{wildcards.track}: unwrapping {wildcards.reference} to {wildcards.secondary}"
    script:
        "../../scripts/run_isce2.py"


rule isce2_stack:
    input:
        grid="<results>/{region}/grid.json",
        map="<results>/{region}/{track}/geometry.zarr",
        planned=planned,
        pairs=pairs_to_make("isce2/merged/interferograms/{reference}_{secondary}/filt_fine.unw"),
        baselines=isce2_baselines,
        geometry="<results>/{region}/{track}/isce2/merged/geom_reference",
        first="<results>/{region}/{track}/isce2/reference",
    output:
        stack=directory("<results>/{region}/{track}/unwrapped.zarr"),
        pairs="<results>/{region}/{track}/pairs.csv",
        rejected="<results>/{region}/{track}/rejected.csv",
    log:
        "<results>/{region}/{track}/logs/isce2_stack.log",
    benchmark:
        "<results>/{region}/{track}/benchmarks/isce2_stack.tsv"
    wildcard_constraints:
        track=only(SCENES, engine="isce2"),
    conda:
        "../../envs/sentinel1.yaml"
    threads: 4
    resources:
        mem_mb=megabytes(1500, 0.5),
        runtime=minutes(10, 0.5),
    params:
        on_bad_input=setting("on_bad_input"),
        code=digest("readers.assemble", "readers.isce2"),
    message:
        "{wildcards.region}/{wildcards.track}: stacking the pairs"
    script:
        "../../scripts/isce2_stack.py"
