"""The page of one export or of several: what they hold and what was found of them, as HTML that stands by itself.

What an export holds is read (:mod:`kept_facts`, :mod:`sample_results`), told as sections of tables, charts and text
(:mod:`one_export`, :mod:`several_exports`), and written (:mod:`page_files`) with charts drawn by Vega-Lite (:mod:`drawing`).
"""
