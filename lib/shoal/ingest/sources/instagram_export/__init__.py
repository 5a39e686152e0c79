"""The archive that Instagram gives a person who asks for their data, a folder or the .zip, in the layouts of 2020, 2022 and late
2025.

All its files are JSON documents. `documents` has what all of them need, `owners` whose archive it is; `messages`, `marks`, `posts`
and `people` take the documents apart into records of one flat form, `fields.FIELDS`: all parts share a bronze table, and its raw
text is the row as the archive has it. `hiding` is what a pseudonymised lake keeps, `silver` the columns of the tables, `parts` the
record types. The archive is of one person, the owner: who liked, wrote and posted is known from personal_information or
profile.json, not from the file itself.
"""
