-- The ends of several logs, or of all. Index: streams_pkey.
select agent, epoch, head from archibald.streams where $1 or agent = any ($2)
