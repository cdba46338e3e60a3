//! Rows as Parquet: the same rows make the same bytes.

use super::plan::Sharded;
use super::row::Row;
use crate::failure::{Failure, Result};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::RowAccessor;
use parquet::schema::parser::parse_message_type;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SCHEMA: &str = "message measurement {
    required int64 index;
    required byte_array sample (utf8);
    required byte_array method (utf8);
    required byte_array metric (utf8);
    required int32 class;
    optional double value;
    optional byte_array note (utf8);
}";
/// Under what the configuration stands in the file.
const KEY: &str = "candlelight";
/// Rows that are written together.
const GROUP: usize = 1 << 17;

/// A table that was read.
pub struct Part {
    pub config: Sharded,
    pub rows: Vec<Row>,
}

/// Writes the rows. The file appears whole or not at all.
pub fn write(path: &Path, config: &Sharded, rows: &[Row]) -> Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let file = File::create(&unfinished).map_err(|error| Failure::unwritable(path, error))?;
    let written = write_to(file, config, rows).and_then(|file| {
        file.sync_all()?;
        Ok(fs::rename(&unfinished, path)?)
    });
    written.map_err(|error| Failure::unwritable(path, error))
}

fn write_to(file: File, config: &Sharded, rows: &[Row]) -> Parquet<File> {
    let about = vec![KeyValue::new(KEY.to_owned(), config.text())];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(about)).build();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
    for rows in rows.chunks(GROUP) {
        let mut group = writer.next_row_group()?;
        columns(&mut group, rows)?;
        group.close()?;
    }
    writer.into_inner()
}

fn columns(group: &mut SerializedRowGroupWriter<'_, File>, rows: &[Row]) -> Parquet<()> {
    let text = |of: fn(&Row) -> &str| rows.iter().map(|row| ByteArray::from(of(row))).collect::<Vec<_>>();
    let given = |of: fn(&Row) -> bool| rows.iter().map(|row| i16::from(of(row))).collect::<Vec<i16>>();
    let indices: Vec<i64> = rows.iter().map(|row| row.index as i64).collect();
    let classes: Vec<i32> = rows.iter().map(|row| row.class as i32).collect();
    let values: Vec<f64> = rows.iter().filter_map(|row| row.value).collect();
    let notes: Vec<ByteArray> =
        rows.iter().filter_map(|row| row.note.as_deref().map(ByteArray::from)).collect();
    column(group, Column::Numbers(&indices), None)?;
    column(group, Column::Texts(&text(|row| &row.sample)), None)?;
    column(group, Column::Texts(&text(|row| &row.method)), None)?;
    column(group, Column::Texts(&text(|row| &row.metric)), None)?;
    column(group, Column::Classes(&classes), None)?;
    column(group, Column::Values(&values), Some(&given(|row| row.value.is_some())))?;
    column(group, Column::Texts(&notes), Some(&given(|row| row.note.is_some())))
}

/// The values of a column.
enum Column<'a> {
    Numbers(&'a [i64]),
    Classes(&'a [i32]),
    Values(&'a [f64]),
    Texts(&'a [ByteArray]),
}

/// The next column; `given` says of every row whether it has a value.
fn column(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: Column,
    given: Option<&[i16]>,
) -> Parquet<()> {
    let mut next = group.next_column()?.ok_or_else(|| ParquetError::General("no column is left".into()))?;
    match (next.untyped(), values) {
        (ColumnWriter::Int64ColumnWriter(to), Column::Numbers(values)) => {
            to.write_batch(values, given, None)?
        }
        (ColumnWriter::Int32ColumnWriter(to), Column::Classes(values)) => {
            to.write_batch(values, given, None)?
        }
        (ColumnWriter::DoubleColumnWriter(to), Column::Values(values)) => {
            to.write_batch(values, given, None)?
        }
        (ColumnWriter::ByteArrayColumnWriter(to), Column::Texts(values)) => {
            to.write_batch(values, given, None)?
        }
        _ => return Err(ParquetError::General("a column of another type".into())),
    };
    next.close()
}

/// The rows of a file that [`write`] made.
pub fn read(path: &Path) -> Result<Part> {
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("`{}` is no result of `evaluate`: {error}", path.display());
        Failure::input(message, "name the Parquet files that `candlelight evaluate --shard` wrote")
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    read_from(file).map_err(|error| unreadable(&error))
}

fn read_from(file: File) -> Parquet<Part> {
    let reader = SerializedFileReader::new(file)?;
    let about = reader.metadata().file_metadata().key_value_metadata();
    let about =
        about.into_iter().flatten().find(|about| about.key == KEY).and_then(|about| about.value.clone());
    let about = about.ok_or_else(|| ParquetError::General("it does not say of what".into()))?;
    let config = serde_json::from_str(&about).map_err(|error| ParquetError::External(Box::new(error)))?;
    let rows = reader.get_row_iter(None)?.map(|row| of(&row?)).collect::<Parquet<Vec<_>>>()?;
    Ok(Part { config, rows })
}

fn of(row: &parquet::record::Row) -> Parquet<Row> {
    let is_null = |column: usize| {
        row.get_column_iter()
            .nth(column)
            .is_none_or(|(_, field)| matches!(field, parquet::record::Field::Null))
    };
    Ok(Row {
        index: row.get_long(0)? as u64,
        sample: row.get_string(1)?.clone(),
        method: row.get_string(2)?.clone(),
        metric: row.get_string(3)?.clone(),
        class: row.get_int(4)? as u32,
        value: if is_null(5) { None } else { Some(row.get_double(5)?) },
        note: if is_null(6) { None } else { Some(row.get_string(6)?.clone()) },
    })
}
